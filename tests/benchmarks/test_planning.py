"""Tests of the benchmark of forecasts: scenes that fit their models, and the ratios of rounds."""

from dataclasses import replace

import pytest

from benchmarks import planning_scenes, scenes
from benchmarks.metrics import METRICS
from benchmarks.planning_scenes import PlannedScene, make_planned_scenes
from benchmarks.sides import planning as sides
from benchmarks.suite import planning
from swath.items import SceneSources
from swath.items.scene_arguments import parse_scene
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Draw all scenes small, without real ones."""
    monkeypatch.setattr(scenes, "CACHE_FOLDER", tmp_path)
    monkeypatch.setattr(planning_scenes, "_SOURCE_SIZE", 300)
    monkeypatch.setenv("SWATH_TEST_DATA", str(tmp_path / "absent"))
    for table in ("_DRAWINGS", "_PORTS"):
        drawings = getattr(planning_scenes, table)
        few = {name: replace(one, width=360, height=240) for name, one in drawings.items()}
        monkeypatch.setattr(planning_scenes, table, few)


@pytest.mark.usefixtures("small")
def test_twenty_scenes_have_the_bands_of_their_models():
    made = make_planned_scenes()

    assert len({scene.name for scene in made}) == len(made) == 20
    for scene in made:
        names = planning_scenes._RGB if scene.model == "small" else planning_scenes._SHIP_BANDS
        parsed = parse_scene(list(scene.files), SceneSources())
        with open_model_scene(parsed, BandNeeds(names)) as opened:
            assert opened.scene.info.width == 360, scene.name
    assert make_planned_scenes() == made
    assert [scene.name for scene in make_planned_scenes(quick=True)] == [
        *("one tile", "four tiles", "honolulu", "casablanca")
    ]


@pytest.mark.usefixtures("small")
def test_a_forecast_and_a_run_have_the_same_tiles(packages, monkeypatch):
    monkeypatch.setattr("swath.pipeline.forecast.start_time._ROUNDS", 1)
    (scene,) = [one for one in make_planned_scenes() if one.name == "three resolutions"]

    forecast = sides.forecast(packages.onnx, {scene.name: scene.files}, scene.name)
    ran = sides.run(packages.onnx, scene.files)

    predicted = forecast["forecasts"][scene.name]
    assert predicted["tiles"] == ran["tiles"] == 1
    assert predicted["seconds"] > forecast["start_seconds"] > 0


def round_of(seconds, wall, *, tiles=4, others=0.0):
    forecasts = {"x": {"seconds": seconds, "tiles": 4, "skipped": 0}}
    return {
        "forecasts, small": {"forecasts": forecasts, "others": others},
        "x": {"wall": wall, "tiles": tiles, "others": 0.0},
    }


class TestRatio:
    scene = PlannedScene("x", "small", ("x.tif",))

    def test_is_the_median_of_the_quiet_rounds(self):
        rounds = [round_of(1, 2), round_of(3, 2), round_of(2, 2), round_of(90, 2, others=1.0)]

        assert planning._ratio(self.scene, rounds) == 1.0

    def test_other_tiles_are_an_error(self):
        with pytest.raises(RuntimeError, match=r"x: .* was forecast"):
            planning._ratio(self.scene, [round_of(1, 1, tiles=5)])


def test_the_goal_is_the_tolerance():
    assert METRICS["planning_error"].goal == planning.TOLERANCE
