"""Tests of forecasts: tiles, shards and bytes are those of the run that follows."""

import numpy as np
import pytest

from swath import storage
from swath.errors import PackageError, SceneError, SettingsError, UnknownModelError
from swath.items import SceneSources
from swath.items.scene_arguments import as_item, parse_scene
from swath.messages import Backend, ModelRef, RunOptions, RunRequest, SceneRef
from swath.messages.deployed_settings import DeployedSettings
from swath.models.package import describe_package
from swath.pipeline.forecast.forecast import ForecastOptions, forecast_run
from swath.pipeline.local import new_request
from swath.pipeline.plan import read_plan
from swath.pipeline.planning import plan_run
from swath.pipeline.shard import run_shard
from swath.raster.scene import open_scene
from tests.helpers.band_files import RESOLUTIONS
from tests.helpers.packages import OracleModel, ships_package
from tests.helpers.rasters import real_files
from tests.helpers.read_bytes import counted_bytes

SCENES = [
    file
    for file in (*real_files("ships_s2"), *real_files("scenes"))
    if file.lower().endswith((".tif", ".jp2", ".ntf"))
]


UNREADABLE = (
    *("rotated.tif", "float_nan.tif", "slc.tif", "cog_hirise_mars.tif", "cog_nonearth.tif"),
    *("sar_vh.tif", "sar_vv.tif"),
)
"""Scenes that a run refuses: without CRS, of other planets, with complex pixels."""


class BlindModel(OracleModel):
    """Sees nothing, in the shape of the ship detector's output."""

    def __call__(self, tiles):
        return [(np.zeros((5, 16384), np.float32),) for _ in tiles]


@pytest.fixture
def model(tmp_path):
    """Return a function that makes a package without weights for bands of given names."""

    def make(bands, *, tile_size=64, overlap=16):
        folder = tmp_path / "package"
        return ships_package(folder, bands, tile_size=tile_size, overlap=overlap)

    return make


def forecast(scene, model, *, backend="local", **settings):
    options = ForecastOptions(settings=DeployedSettings(**settings), backend=Backend(backend))
    return forecast_run(scene, model, options)


def run(scene, model, folder):
    """Run a model that sees nothing; return the plan and the bytes that were read."""
    parsed = parse_scene(scene, SceneSources())
    request = new_request(parsed, model.uri, RunOptions())
    settings = DeployedSettings().plan_settings(str(folder))
    plan_uri = plan_run(request, settings, item=as_item(parsed)).uri
    plan = read_plan(plan_uri)
    description = describe_package(model.uri).description
    with counted_bytes() as counts:
        receipts = [
            run_shard(plan_uri, index, load=lambda _: (description, BlindModel()))
            for index in range(len(plan.shards))
        ]
    return plan, receipts, counts


def band_names(scene):
    with open_scene(str(scene)) as opened:
        info = opened.info
    return [
        name or f"band {i}" for i, name in enumerate(info.band_names) if info.colors[i] != "alpha"
    ]


def is_readable(file):
    """Return whether swath reads the georeference and the pixels of one of the odd scenes."""
    return not file.endswith(UNREADABLE)


class TestAgainstTheRun:
    @pytest.mark.parametrize("file", [file for file in SCENES if is_readable(file)])
    def test_tiles_shards_and_bytes_are_equal(self, data, model, tmp_path, file):
        folders = (data / "ships_s2", data / "scenes")
        scene = next(folder / file for folder in folders if (folder / file).exists())
        reference = model(band_names(scene))

        predicted = forecast(scene, reference)
        plan, receipts, counts = run(scene, reference, tmp_path / "work")

        assert (predicted.tiles, predicted.skipped) == (plan.grid.count, plan.skipped_count)
        assert predicted.shards == len(plan.shards) == len(receipts)
        local = predicted.estimates[0]
        assert (local.backend, local.shards) == ("local", predicted.shards)
        if predicted.is_exact:
            sizes = {one.uri: one.read_bytes for one in predicted.files}
            assert {uri: size for uri, size in sizes.items() if size} == counts
        else:
            assert counts == {}
            assert predicted.read_bytes == scene.stat().st_size

    @pytest.mark.usefixtures("data")
    def test_many_scenes_are_tried(self):
        assert sum(map(is_readable, SCENES)) >= 40

    def test_bytes_of_a_scene_on_s3_are_equal(self, data, model, tmp_path, http_bucket):
        uri = f"{http_bucket}/ports/casablanca.tif"
        storage.copy(str(data / "ships_s2" / "casablanca_S2L2A_5band.tif"), uri)
        reference = model(band_names(uri), tile_size=128)

        predicted = forecast(uri, reference)
        _, _, counts = run(uri, reference, tmp_path / "work")

        (file,) = predicted.files
        assert counts == {uri: file.read_bytes}
        assert file.region == "eu-west-1"
        assert file.requests > 0

    def test_those_of_files_of_three_resolutions_are_equal(
        self, model, tmp_path, three_resolutions
    ):
        reference = model(RESOLUTIONS)

        predicted = forecast(three_resolutions, reference)
        plan, _, counts = run(three_resolutions, reference, tmp_path / "work")

        assert (predicted.tiles, predicted.shards) == (plan.grid.count, len(plan.shards))
        assert predicted.is_exact
        assert counts == {one.uri: one.read_bytes for one in predicted.files}
        assert [band.resampling for band in predicted.bands] == ["", "bilinear", "bilinear"]
        assert [band.uri for band in predicted.bands] == [str(path) for path in three_resolutions]

    @pytest.mark.parametrize("backend", ["lambda", "batch", "sagemaker-serverless"])
    def test_shards_of_a_backend_are_those_of_its_run(self, data, model, tmp_path, backend):
        scene = data / "ships_s2" / "casablanca_S2L2A_5band.tif"
        reference = model(band_names(scene), tile_size=16, overlap=4)

        predicted = forecast(scene, reference, backend=backend)

        settings = DeployedSettings().plan_settings(str(tmp_path / "work"))
        request = RunRequest.new(
            scene=SceneRef(uri=str(scene), etag=storage.etag(str(scene)), dropped_at="2026-11-28"),
            model=reference,
            options=RunOptions(backend=Backend(backend)),
        )
        summary = plan_run(request, settings)
        assert (predicted.backend, predicted.shards) == (summary.backend, summary.shards)
        shards = {one.backend: one.shards for one in predicted.estimates}
        assert shards[Backend(backend)] == summary.shards


class TestRefused:
    """Each refusal is the sentence of the run."""

    def test_a_scene_that_is_missing(self, model, tmp_path):
        with pytest.raises(SceneError, match="there is no scene at"):
            forecast(tmp_path / "x.tif", model("a"))

    def test_a_scene_without_the_bands(self, model, make_scene):
        with pytest.raises(SceneError, match="the model expects a, b, c, d, e"):
            forecast(make_scene(np.ones((3, 9, 9), "uint8")), model("abcde"))

    def test_a_package_that_was_replaced(self, model, make_scene):
        stale = ModelRef(name="test", uri=model("a").uri, digest="0" * 64)

        with pytest.raises(PackageError, match="0000"):
            forecast(make_scene(np.ones((1, 9, 9), "uint8")), stale)

    def test_a_model_that_is_not_deployed(self, make_scene):
        unknown = ModelRef(name="planes", uri="", digest="", deployed=["ships"])

        with pytest.raises(UnknownModelError, match="the deployed models are ships"):
            forecast(make_scene(np.ones((1, 9, 9), "uint8")), unknown)

    def test_a_backend_that_is_not_deployed(self, model, make_scene):
        scene = make_scene(np.ones((1, 99, 99), "uint8"))

        with pytest.raises(SettingsError, match="'sagemaker-async' has no endpoint"):
            forecast(scene, model("a"), backend="sagemaker-async")


class TestInputs:
    def test_bands_say_where_they_come_from(self, model, make_scene):
        units = [("reflectance", 0.0001, -0.1), ("", 1, 0)]
        scene = make_scene(np.ones((2, 99, 99), "uint16"), names=["B04", "B03"], units=units)

        first, second = forecast(scene, model(["B03", "B04"])).bands

        assert (first.name, first.uri, first.band) == ("B03", str(scene), 2)
        assert (first.unit, first.unit_source) == ("", "none")
        assert (second.name, second.band, second.unit_source) == ("B04", 1, "file")
        assert second.unit == "reflectance, scale 0.0001, offset -0.1"

    def test_a_warning_of_the_run_is_given_before_it(self, model, make_scene):
        units = [("reflectance", 0.0001, -0.1)]
        scene = make_scene(np.ones((1, 99, 99), "uint16"), units=units)

        (warning,) = forecast(scene, model(["B04"])).warnings

        assert "states a unit (B04: reflectance" in warning

    def test_nothing_is_written(self, model, make_scene, tmp_path):
        scene, reference = make_scene(np.ones((1, 99, 99), "uint8")), model("a")
        before = sorted(tmp_path.rglob("*"))

        forecast(scene, reference)

        assert sorted(tmp_path.rglob("*")) == before
