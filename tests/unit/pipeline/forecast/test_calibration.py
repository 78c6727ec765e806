"""Tests of calibrations: what is measured, and when a kept one counts."""

import msgspec
import numpy as np
import pytest

from swath.messages import ModelRef
from swath.messages.deployed_settings import DeployedSettings
from swath.models.package import describe_package
from swath.pipeline.forecast import calibration
from swath.pipeline.forecast.calibration import (
    calibration_file,
    choose_tiles,
    read_calibration,
    write_calibration,
)
from swath.pipeline.forecast.forecast import ForecastOptions, forecast_run
from swath.pipeline.scene_plan import assess_scene
from swath.raster.scene import open_scene

START_SECONDS = 2.5


@pytest.fixture(autouse=True)
def _fast_start(monkeypatch):
    """Replace the runs of a few tiles, which take seconds; test_start_time.py has a real one."""
    monkeypatch.setattr(calibration, "measure_start", lambda *_, **__: START_SECONDS)


@pytest.fixture
def forecast(package, tmp_path):
    """Return a function that predicts a run of a model that sees bright pixels."""
    info = describe_package(package)
    model = ModelRef(name=info.description.name, uri=str(package), digest=info.digest)

    def predict(scene, *, measure=False):
        options = ForecastOptions(
            settings=DeployedSettings(), calibrations=tmp_path / "kept", measure=measure
        )
        return forecast_run(str(scene), model, options)

    return predict


@pytest.fixture
def scene(make_scene, package):
    count = len(describe_package(package).description.bands)
    return make_scene(np.ones((count, 500, 700), "uint8"), nodata=0)


class TestMeasurement:
    def test_it_gives_the_seconds_of_this_machine(self, forecast, scene):
        predicted = forecast(scene, measure=True)

        measured, local = predicted.calibration, predicted.estimates[0]
        assert measured.seconds_per_tile > 0
        assert measured.tiles == min(predicted.tiles, calibration.MAX_CALIBRATION_TILES)
        assert measured.start_seconds == START_SECONDS
        assert local.seconds.low == local.seconds.high
        others = predicted.tiles - measured.workers
        assert local.seconds.low > START_SECONDS + others * measured.seconds_per_tile
        assert all(one.seconds for one in predicted.estimates)

    def test_without_one_there_are_no_seconds(self, forecast, scene):
        predicted = forecast(scene)

        assert predicted.calibration is None
        assert {one.seconds for one in predicted.estimates} == {None}

    def test_it_is_kept_for_the_next_scene(self, forecast, scene):
        measured = forecast(scene, measure=True).calibration

        assert forecast(scene).calibration == measured

    def test_a_scene_without_a_valid_pixel_measures_nothing(self, forecast, make_scene, package):
        count = len(describe_package(package).description.bands)
        empty = make_scene(np.zeros((count, 500, 700), "uint8"), name="empty.tif", nodata=0)

        predicted = forecast(empty, measure=True)

        assert predicted.calibration is None
        assert predicted.shards == 0


class TestKeptCalibrations:
    @pytest.fixture
    def kept(self, forecast, scene, tmp_path):
        return forecast(scene, measure=True).calibration, tmp_path / "kept"

    def test_that_of_another_machine_does_not_count(self, kept):
        measured, folder = kept
        write_calibration(folder, msgspec.structs.replace(measured, machine="another"))

        assert read_calibration(folder, measured.digest) is None

    def test_that_of_other_cpus_does_not_count(self, kept):
        measured, folder = kept
        write_calibration(folder, msgspec.structs.replace(measured, cpus=measured.cpus + 1))

        assert read_calibration(folder, measured.digest) is None

    def test_one_without_the_default_compression_does_not_count(self, kept):
        measured, folder = kept
        write_calibration(folder, msgspec.structs.replace(measured, reading={}))

        assert read_calibration(folder, measured.digest) is None

    def test_that_of_another_package_does_not_count(self, kept):
        _, folder = kept

        assert read_calibration(folder, "0" * 64) is None

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"digest": 5}'])
    def test_a_damaged_one_does_not_count(self, kept, content):
        measured, folder = kept
        calibration_file(folder, measured.digest).write_text(content)

        assert read_calibration(folder, measured.digest) is None


def test_tiles_are_chosen_in_the_middle_among_those_with_pixels(make_scene, package):
    description = describe_package(package).description
    pixels = np.ones((len(description.bands), 500, 700), "uint8")
    pixels[:, :250] = 0
    with open_scene(str(make_scene(pixels, nodata=0))) as opened:
        plan = assess_scene(opened, description)

    chosen = choose_tiles(plan, 4)

    with_pixels = plan.tiles_to_infer()
    assert 4 < len(with_pixels) < plan.grid.count
    assert set(chosen) < set(with_pixels)
    assert np.diff(chosen).tolist() == [1, 1, 1]
    assert set(choose_tiles(plan, 10**6)) == set(with_pixels)
