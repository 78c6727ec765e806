import contextlib
import dataclasses
import json
import shutil
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from swath import storage
from swath.detection import engine, geoparquet, geoparquet_file, parquet, spatial_order
from swath.detection.detections import Detections, Flag
from swath.detection.parquet import DetectionsWriter
from swath.detection.scene_facts import read_footprint
from swath.detection.spatial_order import center_cells
from swath.errors import (
    PackageError,
    PayloadError,
    RunIncompleteError,
    SceneError,
    ShardInterruptedError,
)
from swath.messages import Receipt, TileCounts
from swath.pipeline import shard as shard_module
from swath.pipeline.merge import merge_run
from swath.pipeline.paths import RunPaths
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard, write_failed_receipt
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene
from swath.storage import as_files
from swath.storage.checked_json import read_checked, write_checked
from tests.helpers.packages import OracleModel
from tests.helpers.runs import receipt_of

BOXES = ("x_min", "y_min", "x_max", "y_max")


@pytest.fixture(autouse=True)
def tile_by_tile(monkeypatch):
    """Make the engine yield after every tile, so that a shard can stop after each."""
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)


@pytest.fixture(autouse=True)
def oracle(monkeypatch):
    """Replace the package's model by one that sees the objects of `scene_of` exactly."""
    shard_module._load_once.cache_clear()
    monkeypatch.setattr(shard_module, "load_model", lambda _: OracleModel())
    yield
    shard_module._load_once.cache_clear()


def scene_of(boxes, width=150, height=90):
    """Return pixels (1, rows, cols) in which each of the disjoint boxes has its own number."""
    pixels = np.zeros((1, height, width), np.uint8)
    for value, (x0, y0, x1, y1) in enumerate(boxes, 1):
        pixels[0, y0:y1, x0:x1] = value
    return pixels


# Objects are small and large, cross 0, 1, 2 or many seams, touch the edges, or fill the scene.
OBJECTS = [
    (3, 3, 6, 7),
    (10, 2, 18, 5),
    (9, 9, 15, 22),
    (24, 9, 95, 14),
    (30, 20, 34, 88),
    (40, 30, 110, 80),
    (120, 0, 150, 4),
    (146, 40, 150, 90),
    (0, 60, 20, 90),
    (130, 20, 131, 21),
]


def plan_of(plan_uri):
    return RunStore.open(plan_uri).plan


def run_all(plan_uri):
    for index in range(len(plan_of(plan_uri).shards)):
        run_shard(plan_uri, index)
    return merge_run(plan_uri)


def boxes_in(table):
    return np.stack([table[name].to_numpy() for name in BOXES], axis=1)


@pytest.mark.parametrize("shard_tiles", [1, 3, 17, 1000])
def test_the_result_is_the_truth_however_it_was_sharded(make_plan, make_scene, shard_tiles):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=shard_tiles)

    summary = run_all(plan_uri)

    table = pq.read_table(summary.uri)
    assert summary.detections == len(table) == len(OBJECTS)
    assert summary.tiles == TileCounts(planned=104, succeeded=104)
    assert sorted(map(tuple, boxes_in(table).tolist())) == sorted(OBJECTS)


class NoisyModel(OracleModel):
    """A model that shifts, misses and adds objects, always in the same way for one tile."""

    def see(self, tile):
        rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(tile).tobytes()))
        raw = super().see(tile)
        seen = raw[4] > 0
        raw[:4, seen] += rng.normal(0, 0.4, (4, seen.sum()))
        raw[4, seen] *= rng.random(seen.sum()) > 0.2
        raw[4, seen] -= rng.uniform(0, 0.1, seen.sum())
        raw[:, -3:] = [
            *rng.uniform(0, 16, (2, 3)),
            *rng.uniform(1, 9, (2, 3)),
            *np.full((1, 3), 0.6),
        ]
        return raw


def scattered(seed, count=60):
    """Return random boxes of all sizes, some overlapping."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, [140, 80], (count, 2))
    sides = rng.integers(1, 12, (count, 2)) ** rng.integers(1, 3, (count, 1))
    return np.concatenate([low, low + sides], axis=1).tolist()


def test_warnings_of_shards_are_handed_on_once(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=17)
    run_all(plan_uri)
    paths = RunPaths.from_plan_uri(plan_uri)
    for index, warnings in enumerate((["one"], ["two", "one"])):
        receipt = read_checked(paths.receipt(index))
        write_checked(paths.receipt(index), receipt | {"warnings": warnings})

    assert merge_run(plan_uri).warnings == ["one", "two"]


@pytest.mark.parametrize("seed", range(2))
def test_no_partition_into_shards_shows(make_plan, make_scene, monkeypatch, seed):
    """Check a model that errs, so that its detections match no ground truth."""
    monkeypatch.setattr(shard_module, "load_model", lambda _: NoisyModel())
    scene = make_scene(scene_of(scattered(seed)))
    tables = []
    for shard_tiles in (3, 17, 40, 1000):
        plan_uri = make_plan(scene, shard_tiles=shard_tiles)
        tables.append(pq.read_table(run_all(plan_uri).uri).drop_columns(["run_id"]))

    assert len(plan_of(plan_uri).shards) == 1
    assert len(tables[0]) > 100
    assert all(table.equals(tables[-1]) for table in tables)


def test_the_file_is_the_same_byte_for_byte_after_an_interruption(make_plan, make_scene, tmp_path):
    scene = make_scene(scene_of(OBJECTS))
    straight = make_plan(scene, shard_tiles=17)
    halting = make_plan(scene, shard_tiles=17, work=str(tmp_path / "halting"))
    for index in range(len(plan_of(halting).shards)):
        for batches in (1, 5):
            asked = iter([False] * batches)
            with contextlib.suppress(ShardInterruptedError):
                run_shard(halting, index, stop=lambda asked=asked: next(asked, True))

    files = [storage.read_bytes(run_all(plan_uri).uri) for plan_uri in (straight, halting)]

    assert files[0] == files[1]


def test_rows_are_ordered_and_say_where_they_come_from(make_plan, make_scene):
    scene = make_scene(scene_of(OBJECTS))
    plan_uri = make_plan(scene)

    rows = pq.read_table(run_all(plan_uri).uri).to_pylist()

    bounds = np.array([[*row["bbox"].values()] for row in rows]).T
    cells = center_cells(bounds).tolist()
    assert cells == sorted(cells)
    grid = plan_of(plan_uri).grid
    for row in rows:
        center = (row["x_min"] + row["x_max"]) / 2, (row["y_min"] + row["y_max"]) / 2
        assert row["tile"] == grid.owner(*center)
        assert (row["class"], row["scene"], row["model"]) == ("dot", scene, "bright")
        assert row["run_id"] == plan_of(plan_uri).run_id


def test_the_file_is_geoparquet(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)))

    uri = run_all(plan_uri).uri

    table = pq.read_table(uri)
    meta = json.loads(pq.read_metadata(uri).metadata[b"geo"])
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    bounds = shapely.bounds(shapes)
    column = meta["columns"]["geometry"]
    assert (meta["version"], meta["primary_column"]) == ("1.1.0", "geometry")
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert column["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]
    assert "crs" not in column  # the default CRS is longitude and latitude
    np.testing.assert_allclose(column["bbox"], shapely.total_bounds(shapes))
    stored = [list(row.values()) for row in table["bbox"].to_pylist()]
    np.testing.assert_array_equal(stored, bounds)
    assert (bounds[:, 0] > 14).all()
    assert (bounds[:, 2] < 16).all()


def test_a_run_that_finds_nothing_is_an_empty_file(make_plan, make_scene):
    summary = run_all(make_plan(make_scene(scene_of([]))))

    table = pq.read_table(summary.uri)
    assert (summary.detections, len(table)) == (0, 0)
    assert table.column_names[:3] == ["class", "score", "geometry"]
    meta = json.loads(pq.read_metadata(summary.uri).metadata[b"geo"])
    assert meta["columns"]["geometry"]["geometry_types"] == []


def test_a_scene_without_a_valid_pixel_needs_no_shard(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of([]), nodata=0))

    summary = merge_run(plan_uri)

    assert plan_of(plan_uri).shards == ()
    assert summary.tiles == TileCounts(planned=104, skipped=104)
    assert summary.detections == 0


def test_a_shard_without_a_receipt_is_missed(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=10)
    count = len(plan_of(plan_uri).shards)
    for index in {*range(count)} - {1, 4}:
        run_shard(plan_uri, index)

    with pytest.raises(
        RunIncompleteError,
        match=rf"2 of {count} shards .* no receipt .first: 1, 4.: \S+/shards/1.json is missing",
    ):
        merge_run(plan_uri)
    assert not storage.exists(RunPaths.from_plan_uri(plan_uri).detections)


def test_tiles_that_nobody_accounts_for_are_missed(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)))
    run_shard(plan_uri, 0)
    receipt = RunPaths.from_plan_uri(plan_uri).receipt(0)
    data = read_checked(receipt)
    data["tiles"]["succeeded"] -= 1
    write_checked(receipt, data)

    with pytest.raises(RunIncompleteError, match=r"planned 104 tiles; .* 103 succeeded"):
        merge_run(plan_uri)


@pytest.mark.parametrize(("tolerated", "passes"), [(0.0, False), (0.019, False), (0.02, True)])
def test_failures_beyond_the_tolerance_fail_the_run(
    make_plan, make_scene, monkeypatch, tolerated, passes
):
    class FailsOnTwo(OracleModel):
        def see(self, tile):
            raw = super().see(tile)
            if (tile == 2).any():
                raw[:] = np.nan
            return raw

    monkeypatch.setattr(shard_module, "load_model", lambda _: FailsOnTwo())
    scene = make_scene(scene_of([(3, 3, 6, 7), (22, 40, 27, 45)]))
    plan_uri = make_plan(scene, tolerated_failures=tolerated)

    if passes:
        summary = run_all(plan_uri)
        assert summary.tiles == TileCounts(planned=104, succeeded=102, failed=2)
        assert summary.detections == 1
        return
    with pytest.raises(RunIncompleteError, match="2 of 104 tiles failed") as caught:
        run_all(plan_uri)
    assert "tile 40 at x 12, y 36: the model returned NaN" in str(caught.value)


def test_a_refused_shard_is_tolerated_like_other_failures(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=10, tolerated_failures=0.2)
    count = len(plan_of(plan_uri).shards)
    refused = write_failed_receipt(plan_uri, 1, SceneError("no answer"))
    for index in {*range(count)} - {1}:
        run_shard(plan_uri, index)

    summary = merge_run(plan_uri)

    assert summary.tiles.failed == refused.tiles.failed > 0
    assert summary.tiles.succeeded == 104 - refused.tiles.failed
    assert summary.detections > 0


def test_a_message_names_a_few_of_many_shards_and_failures(make_plan, make_scene):
    """Check that the message fits into the cause of a failed execution."""
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=10)
    count = len(plan_of(plan_uri).shards)
    with pytest.raises(RunIncompleteError, match=r"first: 0, 1, 2, 3, 4\): .*0\.json is missing"):
        merge_run(plan_uri)
    for index in range(count):
        write_failed_receipt(plan_uri, index, SceneError("no answer"))

    with pytest.raises(RunIncompleteError) as caught:
        merge_run(plan_uri)

    assert count > 5
    assert str(caught.value).count("SceneError: no answer") == 5


@pytest.mark.parametrize("kind", ["shard", "seams"])
def test_a_file_is_merged_only_if_its_receipt_has_its_digest(make_plan, make_scene, kind):
    """Check a file of another shard, of another attempt, and a truncated one."""
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=20)
    run_all(plan_uri)
    paths = RunPaths.from_plan_uri(plan_uri)
    name = getattr(paths, kind)
    receipts = [receipt_of(plan_uri, index) for index in range(len(plan_of(plan_uri).shards))]
    one, other = [r.index for r in receipts if (r.detections if kind == "shard" else r.seams)][:2]
    whole = storage.read_bytes(name(one))

    for content in (storage.read_bytes(name(other)), whole[: len(whole) // 2], b"", whole + b"x"):
        storage.write_bytes(name(one), content)
        with pytest.raises(RunIncompleteError, match=rf"{name(one)} .* receipt of shard {one}; "):
            merge_run(plan_uri)
    Path(name(one)).unlink()
    with pytest.raises(RunIncompleteError, match=rf"{name(one)} is missing, although"):
        merge_run(plan_uri)

    assert run_all(plan_uri).detections == len(OBJECTS)


def write_shards(plan_uri, rows_a_tile):
    """Write the files of all shards with the given rows for each tile, two of them on edges."""
    plan, paths = plan_of(plan_uri), RunPaths.from_plan_uri(plan_uri)
    for index in range(len(plan.shards)):
        numbers = plan.tiles(index)
        with storage.writing(paths.shard(index)) as path, DetectionsWriter(path) as out:
            for number in numbers:
                out.append(in_core(plan.grid, number, rows_a_tile))
            out.finish(Detections.empty())
        with storage.writing(paths.seams(index)) as path, DetectionsWriter(path) as seams:
            seams.append(in_core(plan.grid, numbers[0], 2, Flag.AMBIGUOUS))
        receipt = Receipt(
            run_id=plan.run_id,
            index=index,
            plan_fingerprint=plan.fingerprint,
            tiles=TileCounts(planned=len(numbers), succeeded=len(numbers)),
            detections=out.count,
            seams=seams.count,
            seconds=0.0,
        )
        write_checked(paths.receipt(index), receipt.to_json())


def in_core(grid, number, count, flag=0):
    """Return detections of 1 px side by side in the core of a tile."""
    x0, y0, x1, y1 = grid.tile(int(number)).core
    x, y = np.divmod(np.arange(count) * 0.001, 1)
    low = np.stack([x0 + x % (x1 - x0 - 1), y0 + y * (y1 - y0 - 1)], axis=1)
    found = Detections.from_tile(
        np.concatenate([low, low + 1], axis=1),
        np.ones(count, np.float32),
        np.zeros(count, np.int16),
        int(number),
    )
    return dataclasses.replace(found, flags=np.full(count, flag, np.uint8))


def turned(x, y, pixel):
    """Return an affine transform from (x, y), rotated by 30 degrees."""
    return Affine.translation(x, y) @ Affine.rotation(30) @ Affine.scale(pixel, -pixel)


PLACED = {
    "UTM": {},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 14.1, 0, -1e-4, 50.3)},
    "turned": {"crs": "EPSG:27700", "transform": turned(4e5, 3e5, 7.3)},
    "polar": {"crs": "EPSG:3413", "transform": turned(1e5, -2e6, 30)},
    "control points": {
        "transform": None,
        "crs": "EPSG:4326",
        "gcps": [
            GroundControlPoint(row=r, col=c, x=14 + c / 1e4 + r / 3e5, y=50 - r / 1.1e4, z=z)
            for r, c, z in ((0, 0, 1.5), (0, 150, 7), (90, 0, 0), (90, 150, 3), (40, 70, 9))
        ],
    },
}


@pytest.mark.parametrize("kind", PLACED)
def test_detections_are_where_the_scene_says_though_it_is_gone(
    make_plan, make_scene, package, kind
):
    """Check a merge after the scene and the model package are gone: the merge reads neither."""
    scene = make_scene(scene_of(OBJECTS), **PLACED[kind])
    with open_scene(scene) as opened:
        georeferencer = Georeferencer.from_info(opened.info)
        outline = footprint(opened.info, georeferencer)
    plan_uri = make_plan(scene, shard_tiles=17)
    for index in range(len(plan_of(plan_uri).shards)):
        run_shard(plan_uri, index)
    shutil.rmtree(package)
    Path(scene).unlink()

    uri = merge_run(plan_uri).uri

    table = pq.read_table(uri)
    expected = shapely.to_wkb(georeferencer.to_polygons(boxes_in(table)).to_shapely()).tolist()
    assert table["geometry"].to_pylist() == expected
    found = read_footprint(geoparquet.read_footer(uri))
    assert shapely.from_geojson(json.dumps(found)).equals(outline)


def test_a_scene_that_is_replaced_after_its_shards_does_not_move_them(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=17)
    before = storage.read_bytes(run_all(plan_uri).uri)

    make_scene(scene_of([]), transform=Affine(30, 0, 1e5, 0, -30, 1e6))

    assert storage.read_bytes(merge_run(plan_uri).uri) == before


def damaged(path, how):
    """Damage a file as it may occur. `other` is another shard's file of the same kind."""
    content = path.read_bytes()
    match how:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = len(content) // 2
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "another attempt's":
            table = pq.read_table(path)
            pq.write_table(table.replace_schema_metadata(table.schema.metadata), path)
        case "another shard's":
            number = int(path.name.split(".")[0])
            shutil.copy(path.with_name(path.name.replace(str(number), str(1 - number), 1)), path)
        case "gone":
            path.unlink()


@pytest.mark.parametrize("kind", ["shard", "seams"])
@pytest.mark.parametrize("how", ["cut", "flipped", "another attempt's", "another shard's", "gone"])
def test_a_file_that_differs_from_its_receipt_is_detected_and_written_again(
    make_plan, make_scene, kind, how
):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=17)
    before = storage.read_bytes(run_all(plan_uri).uri)
    file = Path(getattr(RunPaths.from_plan_uri(plan_uri), kind)(1))
    damaged(file, how)

    with pytest.raises(RunIncompleteError, match=r"shard 1[ ;].*drop the scene again") as caught:
        merge_run(plan_uri)
    assert str(file) in str(caught.value)
    assert storage.read_bytes(run_all(plan_uri).uri) == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": 1}', "another shard's"])
def test_a_receipt_that_is_damaged_is_none_and_the_shard_is_run_again(
    make_plan, make_scene, content
):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=17)
    before = storage.read_bytes(run_all(plan_uri).uri)
    receipt = Path(RunPaths.from_plan_uri(plan_uri).receipt(1))
    if content == "another shard's":
        content = receipt.with_name("0.json").read_text()
    receipt.write_text(content)

    with pytest.raises(RunIncompleteError, match=r"wrote no receipt \(first: 1\)"):
        merge_run(plan_uri)
    assert storage.read_bytes(run_all(plan_uri).uri) == before


def test_a_plan_that_is_damaged_is_said_to_be(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)))
    Path(plan_uri).write_text("{")
    with pytest.raises(PayloadError, match=r"plan\.json is damaged: .*drop the scene again"):
        merge_run(plan_uri)


def test_what_the_merge_wrote_is_named_by_its_etag(make_plan, make_scene):
    summary = run_all(make_plan(make_scene(scene_of(OBJECTS))))
    assert summary.etag == storage.etag(summary.uri)


def test_a_shard_that_was_refused_is_tolerated_without_a_file(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=17, tolerated_failures=1)
    for index in range(1, len(plan_of(plan_uri).shards)):
        run_shard(plan_uri, index)
    write_failed_receipt(plan_uri, 0, PackageError("no weights"))
    summary = merge_run(plan_uri)
    assert summary.tiles.failed == len(plan_of(plan_uri).tiles(0))
    assert summary.detections > 0


def test_a_message_names_five_failures_and_no_more(make_plan, make_scene):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=10)
    count = len(plan_of(plan_uri).shards)
    assert count > 5
    for index in range(count):
        write_failed_receipt(plan_uri, index, PackageError("no weights"))
    with pytest.raises(RunIncompleteError) as caught:
        merge_run(plan_uri)
    assert str(caught.value).count("no weights") == 5


def test_memory_does_not_grow_with_what_lies_within_shards(make_plan, make_scene, monkeypatch):
    """Check NumPy's peak memory for ten times the rows."""
    for module in (parquet, geoparquet_file):
        monkeypatch.setattr(module, "ROW_GROUP_ROWS", 200)
    monkeypatch.setattr(spatial_order, "MAX_CHUNK_ROWS", 1000)
    monkeypatch.setattr(spatial_order, "_PART_ROWS", 200)
    monkeypatch.setattr(spatial_order, "_SAMPLE_ROWS", 20)
    scene = make_scene(scene_of([]))
    peaks = {}
    for rows in (20, 20, 200):  # the first run warms up
        plan_uri = make_plan(scene, shard_tiles=7, work=f"{scene}-{rows}")
        write_shards(plan_uri, rows)
        tracemalloc.start()
        summary = merge_run(plan_uri)
        peaks[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert summary.detections > 104 * rows

    assert peaks[200] < 1.5 * peaks[20]
    assert peaks[200] < 104 * 200 * 49  # 49 bytes a row


def test_each_shards_file_is_fetched_once_and_only_if_it_holds_anything(
    make_plan, make_scene, monkeypatch
):
    plan_uri = make_plan(make_scene(scene_of(OBJECTS)), shard_tiles=7)
    paths = RunPaths.from_plan_uri(plan_uri)
    receipts = [run_shard(plan_uri, i) for i in range(len(plan_of(plan_uri).shards))]
    asked, reading = [], storage.reading
    for module in (storage, as_files):
        monkeypatch.setattr(module, "reading", lambda uri: asked.append(uri) or reading(uri))

    merge_run(plan_uri)

    wanted = [paths.shard(r.index) for r in receipts if r.detections]
    wanted += [paths.seams(r.index) for r in receipts if r.seams]
    assert sorted(uri for uri in asked if "/shards/" in uri) == sorted(wanted)
    assert 0 < len(wanted) < 2 * len(receipts)


def test_what_is_centered_where_no_shard_is_comes_last(make_plan, make_scene):
    """Check a frame around a hole without a valid pixel: no tile there belongs to a shard."""
    pixels = scene_of([(10, 10, 140, 80)])
    pixels[0, 14:76, 14:136] = 255
    plan_uri = make_plan(make_scene(pixels, nodata=255), shard_tiles=4)

    table = pq.read_table(run_all(plan_uri).uri)

    shards = plan_of(plan_uri).shard_numbers(table["tile"].to_numpy())
    assert sorted(shards.tolist(), key=lambda shard: (shard < 0, shard)) == shards.tolist()
