"""Tests of planning: every scene is planned exactly, or refused with the scene's reason."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from swath import storage
from swath.errors import (
    PackageError,
    PayloadError,
    SceneChangedError,
    SceneError,
    SettingsError,
    UnknownModelError,
)
from swath.messages import Backend, ModelRef, RunOptions, RunRequest, SceneRef
from swath.models import packing
from swath.pipeline.paths import RunPaths
from swath.pipeline.plan import read_plan
from swath.pipeline.planning import plan_run
from swath.pipeline.scene_plan import MAX_SHARD_COLUMNS
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from swath.settings import EndpointKind, PlanSettings
from tests.helpers.georeferences import assert_same_georeference
from tests.helpers.packages import SHIPS, ships_package
from tests.helpers.rasters import real_files, sparse

NO_RASTER = "GeoTIFF, JPEG 2000 or NITF"
NO_ITEM = "a collection of Features; give one of its Items"
NO_CRS = "no coordinate reference system"
NO_PLACE = "neither a geotransform nor ground control points"
REFUSED = {
    "eolearn/LICENSE": NO_RASTER,
    "rasterio/LICENSE.txt": NO_RASTER,
    "rasterio/RGB.byte.gcp.vrt": NO_RASTER,
    "rasterio/RGB.byte.rpc.vrt": NO_RASTER,
    "rasterio/RGB2.byte.tif.msk": NO_PLACE,
    "rasterio/float_nan.tif": NO_CRS,
    "rasterio/rotated.tif": NO_CRS,
    "rio-cogeo/slc.tif": "complex pixels",
    "rio-tiler/cog_hirise_mars.tif": "Equirectangular MARS",
    "rio-tiler/cog_nonearth.tif": "Equirectangular EUROPA",
    "solaris_spacenet/LICENSE.txt": NO_RASTER,
    "solaris_spacenet/geotiff_custom_proj_labels.geojson": NO_ITEM,
    "solaris_spacenet/geotiff_labels.geojson": NO_ITEM,
    "solaris_spacenet/sar_vh.tif": "complex pixels",
    "solaris_spacenet/sar_vv.tif": "complex pixels",
}
"""The reason why each odd scene is refused. All others are planned."""


@pytest.fixture
def package(tmp_path):
    """Return a function that makes a model package of given bands and returns its reference."""

    def make(bands, *, tile_size=256, overlap=64):
        folder = tmp_path / "package"
        return ships_package(folder, bands, tile_size=tile_size, overlap=overlap)

    return make


@pytest.fixture
def plan(tmp_path):
    """Return a function that plans a scene for a model and returns the summary and the plan."""

    def run(scene, model, *, etag=None, backend="auto", **changes):
        request = RunRequest.new(
            scene=SceneRef(
                uri=scene,
                etag=etag or storage.etag(scene) or "gone",
                dropped_at="2026-11-21T12:00:00Z",
            ),
            model=model,
            options=RunOptions(backend=Backend(backend)),
        )
        summary = plan_run(request, PlanSettings(work_uri=str(tmp_path / "work"), **changes))
        return summary, read_plan(summary.uri)

    return run


def names(scene):
    """Return names for a model that takes all of a scene's bands."""
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), open_scene(scene) as opened:
            colors, described = opened.info.colors, opened.info.band_names
    except SceneError:
        return ["a"]
    return [n or f"band {i}" for i, n in enumerate(described) if colors[i] != "alpha"]


class TestPlan:
    def test_is_written_where_the_run_looks_for_it(self, plan, package, make_scene, tmp_path):
        scene = make_scene(np.ones((2, 300, 500), "uint8"))

        summary, written = plan(scene, package("ab", tile_size=64, overlap=16))

        paths = RunPaths(str(tmp_path / "work"), written.run_id)
        assert summary.uri == paths.plan
        assert storage.read_json(paths.shard_list) == [0, 1, 2]
        assert (summary.shards, summary.tiles, summary.backend) == (3, 66, "lambda")
        assert written.grid == Grid(500, 300, 64, 16)
        assert written.scene.uri == scene
        assert (written.column_cuts, written.row_cuts) == ((0, 11), (0, 2, 4, 6))
        assert written.shards == (0, 1, 2)

    def test_every_tile_is_in_one_shard_or_skipped(self, plan, package, make_scene):
        pixels = np.ones((1, 300, 500), "uint8")
        pixels[0, 50:250, 100:400] = 0
        scene = make_scene(pixels, nodata=0)

        _, written = plan(scene, package("a", tile_size=32, overlap=8), lambda_shard_tiles=7)

        tiles = [int(t) for i in range(len(written.shards)) for t in written.tiles(i)]
        empty = [
            i
            for i, (x, y, w, h) in enumerate(written.grid.windows(range(written.grid.count)))
            if not pixels[0, y : y + h, x : x + w].any()
        ]
        assert len(empty) > 30
        assert sorted(tiles + empty) == list(range(written.grid.count))
        assert written.empty_tile_counts.planned == written.empty_tile_counts.skipped == len(empty)
        assert all(1 <= len(written.tiles(i)) <= 7 for i in range(len(written.shards)))
        assert len(written.shards) < written.shard_layout.count

    def test_tells_which_shard_holds_a_tile(self, plan, package, make_scene):
        pixels = np.ones((1, 300, 500), "uint8")
        pixels[0, 50:250, 100:400] = 0
        scene = make_scene(pixels, nodata=0)

        _, written = plan(scene, package("a", tile_size=32, overlap=8), lambda_shard_tiles=7)

        for shard in range(len(written.shards)):
            assert set(written.shard_numbers(written.tiles(shard))) == {shard}
        dead = np.setdiff1d(np.arange(written.shard_layout.count), written.shards)
        assert set(written.shard_numbers(written.shard_layout.tiles(int(dead[0])))) == {-1}

    def test_a_scene_without_a_valid_pixel_has_no_shards(self, plan, package, data):
        scene = str(data / "scenes" / "rasterio" / "all-nodata.tif")

        summary, written = plan(scene, package(names(scene)))

        assert (summary.shards, summary.tiles) == (0, 13)
        assert written.empty_tile_counts.skipped == 13

    @pytest.mark.parametrize(("batch", "backend"), [(True, "batch"), (False, "lambda")])
    def test_a_scene_of_large_blocks_goes_where_the_memory_is(
        self, plan, package, make_scene, batch, backend
    ):
        """Check a block of 256 MiB: several copies of it do not fit into a Lambda function."""
        blocks = {"tiled": True, "blockxsize": 16384, "blockysize": 16384, "compress": "ZSTD"}
        scene = make_scene(np.ones((1, 300, 500), "uint8"), SPARSE_OK="TRUE", **blocks)
        model = package("a", tile_size=64, overlap=16)

        large, _ = plan(scene, model, lambda_memory_mib=1500, batch=batch)
        ample, _ = plan(scene, model, lambda_memory_mib=10_240, batch=batch)

        assert (large.backend, ample.backend) == (backend, "lambda")

    @pytest.mark.parametrize("shard", [-1, 3])
    def test_a_shard_that_is_not_in_the_plan_is_refused(self, plan, package, make_scene, shard):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))
        _, written = plan(scene, package("a", tile_size=64, overlap=16), lambda_shard_tiles=25)

        with pytest.raises(PayloadError, match=f"has 3 shards, .* no shard {shard}"):
            written.tiles(shard)

    def test_the_ships_model_takes_its_scenes(self, plan, data):
        scene = str(data / "ships_s2" / "busan_S2L2A_5band.tif")
        model = ModelRef(name="ships", uri=str(SHIPS), digest=packing.package_digest(SHIPS))

        summary, _ = plan(scene, model)

        assert (summary.shards, summary.tiles) == (1, 24)

    def test_the_same_request_gives_the_same_plan(self, plan, package, make_scene):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))
        model = package("a")

        assert plan(scene, model) == plan(scene, model)

    def test_stays_small_where_a_scene_has_many_control_points(self, plan, package, make_scene):
        rows, columns = np.divmod(np.arange(210), 21)
        off = np.random.default_rng(1).uniform(0, 1e-4, (210, 3))
        gcps = [
            GroundControlPoint(
                row=30.5 * r, col=24.9 * c, x=14 + c / 40 + x, y=50 - r / 30 + y, z=z
            )
            for r, c, (x, y, z) in zip(rows, columns, off, strict=True)
        ]
        scene = make_scene(
            np.ones((1, 300, 500), "uint8"), crs="EPSG:4326", gcps=gcps, transform=None
        )

        summary, written = plan(scene, package("a"))

        with open_scene(scene) as opened:
            assert_same_georeference(written.georeferenced_scene, opened.info)
        assert Path(summary.uri).stat().st_size < 25_000


class TestBackend:
    @pytest.mark.parametrize(
        ("backend", "most", "expected"),
        [
            ("auto", 66, "lambda"),
            ("auto", 65, "batch"),
            ("batch", 66, "batch"),
            ("lambda", 1, "lambda"),
            ("local", 1, "local"),
        ],
    )
    def test_auto_goes_by_size(self, plan, package, make_scene, backend, most, expected):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))
        model = package("a", tile_size=64, overlap=16)

        summary, _ = plan(scene, model, backend=backend, lambda_max_tiles=most)

        assert summary.backend == expected
        assert summary.shards == (1 if expected == "batch" else 3)

    @pytest.mark.parametrize(("fewer", "expected"), [(0, "lambda"), (1, "batch")])
    def test_auto_counts_the_tiles_that_have_to_be_inferred(
        self, plan, package, make_scene, fewer, expected
    ):
        pixels = np.ones((1, 300, 500), "uint8")
        pixels[0, :, 200:] = 0
        scene, model = make_scene(pixels, nodata=0), package("a", tile_size=64, overlap=16)
        _, known = plan(scene, model)
        live = known.grid.count - known.skipped_count
        assert 0 < live < known.grid.count

        summary, _ = plan(scene, model, backend="auto", lambda_max_tiles=live - fewer)

        assert summary.backend == expected

    @pytest.mark.parametrize(
        ("kind", "least", "most"), [("realtime", 1, 8), ("async", 9, 40), ("serverless", 1, 8)]
    )
    def test_an_endpoint_gets_shards_that_it_has_the_time_for(
        self, plan, package, make_scene, kind, least, most
    ):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))

        summary, written = plan(
            scene,
            package("a", tile_size=64, overlap=16),
            backend=f"sagemaker-{kind}",
            endpoints=tuple(EndpointKind),
            endpoint_shard_tiles=8,
            async_shard_tiles=40,
        )

        assert summary.backend == written.backend == f"sagemaker-{kind}"
        assert least <= max(len(written.tiles(shard)) for shard in range(summary.shards)) <= most

    @pytest.mark.parametrize(
        ("endpoints", "there_is"),
        [((), "none"), ((EndpointKind.SERVERLESS, EndpointKind.REALTIME), "serverless,realtime")],
    )
    def test_an_endpoint_that_is_not_deployed_is_refused(
        self, plan, package, make_scene, endpoints, there_is
    ):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))

        with pytest.raises(
            SettingsError, match=f"'sagemaker-async' has .* which has {there_is}; add 'async' to"
        ):
            plan(scene, package("a"), backend="sagemaker-async", endpoints=endpoints)

    def test_without_a_gpu_queue_batch_is_refused_and_auto_is_lambda(
        self, plan, package, make_scene
    ):
        scene = make_scene(np.ones((1, 300, 500), "uint8"))

        with pytest.raises(SettingsError, match="deploy setting 'backend'"):
            plan(scene, package("a"), backend="batch", batch=False)
        summary, _ = plan(scene, package("a"), backend="auto", batch=False, lambda_max_tiles=1)
        assert summary.backend == "lambda"

    def test_a_shard_grows_before_there_are_too_many(self, plan, package, make_scene, monkeypatch):
        monkeypatch.setattr("swath.pipeline.scene_plan.MAX_SHARDS", 5)
        scene = make_scene(np.ones((1, 300, 500), "uint8"))

        summary, written = plan(scene, package("a", tile_size=64, overlap=16), lambda_shard_tiles=2)

        assert summary.shards <= 5
        assert sum(len(written.tiles(i)) for i in range(summary.shards)) == 66


class TestSize:
    def test_a_scene_of_forty_gigapixels(self, plan, package, tmp_path):
        scene = sparse(tmp_path / "x.tif", side=200_000, nodata=0)

        summary, written = plan(scene, package("a"))

        assert summary.tiles == written.grid.count == 1_085_764
        assert summary.backend == "batch"
        assert sum(len(written.tiles(i)) for i in range(summary.shards)) == summary.tiles
        assert max(np.diff(written.column_cuts)) <= MAX_SHARD_COLUMNS
        assert Path(summary.uri).stat().st_size < 20_000


class TestRefused:
    def test_a_model_that_is_not_deployed(self, plan, make_scene):
        planes = ModelRef(name="planes", uri="", digest="", deployed=["ships", "trees"])

        with pytest.raises(UnknownModelError, match="models are ships, trees"):
            plan(make_scene(np.ones((1, 9, 9), "uint8")), planes)

    def test_a_package_that_was_replaced(self, plan, package, make_scene):
        model = package("a")
        stale = ModelRef(name=model.name, uri=model.uri, digest="0" * 64)

        with pytest.raises(PackageError, match="0000"):
            plan(make_scene(np.ones((1, 9, 9), "uint8")), stale)

    def test_a_scene_that_is_gone(self, plan, package, tmp_path):
        with pytest.raises(SceneError, match="there is no scene"):
            plan(str(tmp_path / "gone.tif"), package("a"))

    def test_a_scene_that_was_replaced(self, plan, package, make_scene):
        with pytest.raises(SceneChangedError, match="replaced"):
            plan(make_scene(np.ones((1, 9, 9), "uint8")), package("a"), etag="another")

    def test_three_bands_for_a_model_of_five(self, plan, package, make_scene):
        scene = make_scene(np.ones((3, 9, 9), "uint8"))

        with pytest.raises(
            SceneError, match="3 bands without names; the model expects a, b, c, d, e"
        ):
            plan(scene, package("abcde"))

    def test_a_scene_without_crs(self, plan, package, make_scene):
        with pytest.raises(SceneError, match=NO_CRS):
            plan(make_scene(np.ones((1, 9, 9), "uint8"), crs=None), package("a"))

    def test_a_scene_whose_outline_cannot_be_drawn(self, plan, package, make_scene):
        places = np.random.default_rng(1).uniform(0, 1, (210, 4)) * (300, 500, 9, 9)
        gcps = [GroundControlPoint(row=r, col=c, x=x, y=y) for r, c, x, y in places]
        scene = make_scene(
            np.ones((1, 300, 500), "uint8"), crs="EPSG:4326", gcps=gcps, transform=None
        )

        with pytest.raises(SceneError, match=r"scene\.tif .* fold"):
            plan(scene, package("a"))

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_a_scene_with_nothing_but_rpcs(self, plan, package, data, make_scene):
        with rasterio.open(data / "scenes" / "rasterio" / "RGB.byte.rpc.vrt") as source:
            rpcs = source.rpcs
        scene = make_scene(np.ones((1, 9, 9), "uint8"), crs=None, rpcs=rpcs, transform=None)

        with pytest.raises(SceneError, match="orthorectify"):
            plan(scene, package("a"))

    def test_nothing_is_written(self, plan, package, make_scene, tmp_path):
        with pytest.raises(SceneError):
            plan(make_scene(np.ones((1, 9, 9), "uint8"), crs=None), package("a"))

        assert not (tmp_path / "work").exists()


class TestRealScenes:
    @pytest.mark.parametrize("file", real_files("scenes"))
    def test_are_planned_or_refused_for_a_good_reason(self, plan, package, data, file):
        scene = str(data / "scenes" / file)
        model = package(names(scene))

        if file in REFUSED:
            with pytest.raises(SceneError, match=REFUSED[file]) as caught:
                plan(scene, model)
            assert scene in str(caught.value)
            return
        summary, written = plan(scene, model)

        with open_scene(scene) as opened:
            assert_same_georeference(written.georeferenced_scene, opened.info)
        sizes = [len(written.tiles(i)) for i in range(summary.shards)]
        assert sum(sizes) + written.skipped_count == summary.tiles == written.grid.count

    @pytest.mark.parametrize("file", real_files("corrupt"))
    def test_broken_ones_are_refused_at_the_latest_when_read(self, plan, package, data, file):
        scene = str(data / "corrupt" / file)

        def run():
            plan(scene, package(names(scene)))
            with open_scene(scene) as opened:
                info = opened.info
                opened.read((0, 0, info.width, info.height), range(1, info.count + 1))

        with pytest.raises(SceneError) as caught:
            run()

        assert scene in str(caught.value)

    def test_the_one_that_is_broken_within_is_planned(self, plan, package, data):
        """Check a scene with damaged data: the run then fails tile by tile, or tolerates that."""
        scene = str(data / "corrupt" / "read_error__rasterio__corrupt.tif")

        summary, written = plan(scene, package(names(scene)))

        assert summary.tiles == 25
        assert written.skipped_count == 0

    @pytest.mark.usefixtures("data")
    def test_all_are_tried(self):
        assert len(real_files("corrupt")) == 63
        assert REFUSED.keys() < set(real_files("scenes"))
