import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from swath import storage
from swath.detection import engine
from swath.detection.detections import Detections
from swath.detection.parquet import read_detections, read_in_order
from swath.errors import PackageError, SceneChangedError, SceneError, ShardInterruptedError
from swath.messages import Engine, TileCounts
from swath.models import packing
from swath.pipeline import run_store, shard_attempt
from swath.pipeline import shard as module
from swath.pipeline.paths import RunPaths
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard, write_failed_receipt
from swath.storage.checked_json import write_checked
from tests.helpers.runs import receipt_of


@pytest.fixture(autouse=True)
def tile_by_tile(monkeypatch):
    """Make the engine yield after every tile, so that a shard can stop after each."""
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)


@pytest.fixture(autouse=True)
def fresh_model():
    module._load_once.cache_clear()
    yield
    module._load_once.cache_clear()


def dots(width=100, height=60, count=40, dtype=np.int16):
    """Return a scene of single bright pixels (1, rows, cols), and their boxes."""
    rng = np.random.default_rng(5)
    pixels = np.zeros((1, height, width), dtype)
    places = rng.choice(width * height, count, replace=False)
    pixels.reshape(-1)[places] = rng.integers(40, 100, count)
    y, x = np.divmod(np.sort(places), width)
    return pixels, np.stack([x, y, x + 1, y + 1], axis=1)


@pytest.fixture
def scene(make_scene):
    return make_scene(dots()[0])


def shards(plan_uri):
    plan = RunStore.open(plan_uri).plan
    return range(len(plan.shards))


def found(plan_uri, index=0):
    """Return a shard's final detections, in order, and those that it leaves to the merge."""
    paths = RunPaths.from_plan_uri(plan_uri)
    settled = list(read_in_order(paths.shard(index), Detections.empty()))
    left = receipt_of(plan_uri, index).seams
    others = list(read_detections(paths.seams(index))) if left else []
    return Detections.concatenate(settled), Detections.concatenate(others)


def test_a_shard_finds_what_is_there(make_plan, scene):
    plan_uri = make_plan(scene)

    receipt = run_shard(plan_uri, 0)

    settled, left = found(plan_uri)
    assert not len(left)  # no other shard can change these
    assert sorted(map(tuple, settled.box.tolist())) == sorted(map(tuple, dots()[1].tolist()))
    assert not settled.flags.any()
    assert receipt == receipt_of(plan_uri, 0)
    assert (receipt.detections, receipt.seams) == (len(settled), 0)
    assert receipt.tiles == TileCounts(planned=40, succeeded=40)
    assert (np.diff(settled.tile) >= 0).all()


def test_what_touches_a_shards_edge_is_left_to_the_merge(make_plan, make_scene):
    boxes = dots(count=120)
    plan_uri = make_plan(make_scene(boxes[0]), shard_tiles=20)
    plan = RunStore.open(plan_uri).plan
    receipts = [run_shard(plan_uri, index) for index in shards(plan_uri)]

    parts = [found(plan_uri, index) for index in shards(plan_uri)]

    assert [receipt.seams for receipt in receipts] == [len(left) for _, left in parts]
    assert min(receipt.seams for receipt in receipts) > 0
    assert min(receipt.detections for receipt in receipts) > 0
    for index, (settled, left) in enumerate(parts):
        assert not settled.flags.any()
        assert left.flags.all()
        assert (plan.shard_numbers(left.tile) == index).all()
    together = Detections.concatenate([rows for part in parts for rows in part])
    assert set(map(tuple, together.box.tolist())) == set(map(tuple, boxes[1].tolist()))


def test_a_finished_shard_is_not_run_again(make_plan, scene, monkeypatch):
    plan_uri = make_plan(scene)
    receipt = run_shard(plan_uri, 0)
    monkeypatch.setattr(shard_attempt, "open_model_scene", None)  # a call would fail

    assert run_shard(plan_uri, 0) == receipt


def test_a_receipt_without_files_is_no_proof(make_plan, scene):
    """Check receipts of earlier versions, which list no files."""
    plan_uri = make_plan(scene)
    paths = RunPaths.from_plan_uri(plan_uri)
    first = run_shard(plan_uri, 0)
    write_checked(paths.receipt(0), {**first.to_json(), "files": {}})
    Path(paths.shard(0)).unlink()

    again = run_shard(plan_uri, 0)

    assert again.files == first.files != {}
    assert storage.exists(paths.shard(0))


def test_the_receipt_is_written_after_the_file(make_plan, scene, monkeypatch):
    plan_uri = make_plan(scene)
    paths = RunPaths.from_plan_uri(plan_uri)

    def refuse(uri, data):
        assert uri == paths.receipt(0)
        assert list(read_detections(paths.shard(0)))
        raise OSError("no space")

    monkeypatch.setattr(run_store, "write_checked", refuse)

    with pytest.raises(OSError, match="no space"):
        run_shard(plan_uri, 0)
    assert receipt_of(plan_uri, 0) is None


@pytest.mark.parametrize("after", [1, 2, 17, 39])
def test_a_stopped_shard_goes_on_where_it_was(make_plan, scene, after):
    plan_uri, whole = make_plan(scene), make_plan(scene, work=f"{scene}-work")
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == after

    with pytest.raises(ShardInterruptedError, match=f"before tile {after}"):
        run_shard(plan_uri, 0, stop=stop)
    assert receipt_of(plan_uri, 0) is None

    receipt = run_shard(plan_uri, 0, stop=lambda: asked.append(1))

    assert len(asked) == 39  # each tile is inferred once; after the last one no stop is possible
    expected = run_shard(whole, 0)
    assert (receipt.tiles, receipt.detections) == (expected.tiles, expected.detections)
    assert receipt.seams == expected.seams
    for rows, others in zip(found(plan_uri), found(whole), strict=True):
        np.testing.assert_array_equal(rows.box, others.box)
        np.testing.assert_array_equal(rows.tile, others.tile)


def test_progress_that_is_kept_meanwhile_changes_nothing(make_plan, scene):
    plan_uri, plain = (
        make_plan(scene, shard_tiles=20),
        make_plan(scene, shard_tiles=20, work=f"{scene}-work"),
    )

    kept, expected = run_shard(plan_uri, 0, checkpoint_seconds=0), run_shard(plain, 0)

    assert (kept.tiles, kept.detections, kept.seams) == (
        expected.tiles,
        expected.detections,
        expected.seams,
    )
    assert kept.seams > 0
    for rows, others in zip(found(plan_uri), found(plain), strict=True):
        np.testing.assert_array_equal(rows.box, others.box)
        np.testing.assert_array_equal(rows.tile, others.tile)


def test_a_shard_that_is_killed_goes_on_from_what_it_kept_last(make_plan, scene):
    plan_uri, whole = make_plan(scene), make_plan(scene, work=f"{scene}-work")

    class Killed(BaseException):
        pass

    def stop():
        asked.append(1)
        if len(asked) == 17:
            raise Killed

    asked = []
    with pytest.raises(Killed):
        run_shard(plan_uri, 0, stop=stop, checkpoint_seconds=0)
    assert receipt_of(plan_uri, 0) is None

    receipt = run_shard(plan_uri, 0, stop=stop)

    assert len(asked) == 17 + 39 - 16  # the tile in progress at the stop, and those after it
    assert receipt.tiles == TileCounts(planned=40, succeeded=40)
    run_shard(whole, 0)
    for rows, others in zip(found(plan_uri), found(whole), strict=True):
        np.testing.assert_array_equal(rows.box, others.box)


def test_progress_is_kept_only_now_and_then(make_plan, scene):
    plan_uri = make_plan(scene)

    run_shard(plan_uri, 0)

    assert not storage.exists(RunPaths.from_plan_uri(plan_uri).partial(0))


def test_a_receipt_says_what_computed_it_and_how_fast(make_plan, scene):
    receipt = run_shard(make_plan(scene), 0)

    assert receipt.engine == Engine(device="cpu", runtime="onnx", weights="onnx")
    assert receipt.pixels_per_second > 0
    plan = RunStore.open(make_plan(scene)).plan
    assert plan.count_pixels(0, from_tile=0) == 100 * 60  # each pixel belongs to one tile
    assert plan.count_pixels(0, from_tile=39) < 16 * 16


def test_a_receipt_says_how_long_the_shard_took(make_plan, scene, monkeypatch):
    clock = itertools.count(1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    receipt = run_shard(make_plan(scene), 0)

    assert 0 < receipt.seconds < next(clock) - 1000


def test_a_stop_after_the_last_batch_changes_nothing(make_plan, make_scene):
    plan_uri = make_plan(make_scene(dots(width=10, height=10, count=3)[0]))

    assert run_shard(plan_uri, 0, stop=lambda: True).tiles.succeeded == 1


def test_failures_are_counted_with_their_place_and_cause(make_plan, make_scene):
    pixels = dots()[0]
    pixels[0, 30, 42] = -1  # the model takes the root of it and gets NaN
    plan_uri = make_plan(make_scene(pixels))

    receipt = run_shard(plan_uri, 0)

    assert receipt.tiles.failed == len(receipt.failures) == 1
    (failure,) = receipt.failures
    assert failure.cause.startswith("the model returned NaN")
    assert failure.column <= 42 < failure.column + 16
    assert failure.row <= 30 < failure.row + 16


def test_a_shard_with_failures_is_tried_again_from_its_start(make_plan, scene):
    plan_uri = make_plan(scene)
    with pytest.raises(ShardInterruptedError):
        run_shard(plan_uri, 0, stop=lambda: True)
    write_failed_receipt(plan_uri, 0, SceneError("no answer"))
    assert receipt_of(plan_uri, 0).tiles == TileCounts(planned=40, failed=40)
    asked = []

    receipt = run_shard(plan_uri, 0, stop=lambda: asked.append(1))

    assert len(asked) == 39
    assert receipt.tiles == receipt_of(plan_uri, 0).tiles == TileCounts(planned=40, succeeded=40)


def test_what_another_plan_of_the_run_left_does_not_count(make_plan, scene):
    """Check a run planned again with other settings: same name, other shards."""
    run_shard(make_plan(scene, shard_tiles=7), 0)
    with pytest.raises(ShardInterruptedError):
        run_shard(make_plan(scene, shard_tiles=7), 1, stop=lambda: True)

    plan_uri = make_plan(scene, shard_tiles=20)
    receipts = [run_shard(plan_uri, index) for index in range(2)]

    plan = RunStore.open(plan_uri).plan
    assert [r.tiles.succeeded for r in receipts] == [len(plan.tiles(index)) for index in range(2)]


def test_a_refused_shard_says_why(make_plan, scene):
    plan_uri = make_plan(scene, shard_tiles=7)
    plan = RunStore.open(plan_uri).plan
    tile = plan.grid.tile(plan.tiles(1)[0])

    receipt = write_failed_receipt(plan_uri, 1, PackageError("no weights"))

    (failure,) = receipt.failures
    assert (failure.tile, failure.column, failure.row) == (tile.index, tile.x, tile.y)
    assert tile.index > 0
    assert failure.cause == "PackageError: no weights"


def test_tiles_without_valid_pixels_are_skipped(make_plan, make_scene):
    pixels = dots()[0]
    pixels[0, :, :40] = -999
    plan_uri = make_plan(make_scene(pixels, nodata=-999))
    plan = RunStore.open(plan_uri).plan

    receipt = run_shard(plan_uri, 0)

    assert plan.skipped_count > 0
    assert receipt.tiles.planned + plan.skipped_count == plan.grid.count
    assert receipt.tiles.failed == 0


def test_a_scene_that_was_replaced_is_refused(make_plan, scene):
    plan_uri = make_plan(scene)
    os.utime(scene, (0, 0))

    with pytest.raises(SceneChangedError, match=r"scene\.tif was replaced"):
        run_shard(plan_uri, 0)


def test_a_scene_that_is_replaced_meanwhile_leaves_nothing(make_plan, scene):
    plan_uri = make_plan(scene)

    with pytest.raises(SceneChangedError, match=r"scene\.tif was replaced"):
        run_shard(plan_uri, 0, stop=lambda: os.utime(scene, (0, 0)))
    assert not storage.exists(RunPaths.from_plan_uri(plan_uri).shard(0))


@pytest.mark.parametrize("name", ["0.partial.parquet", "0.partial.json"])
@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_progress_that_is_damaged_is_none(make_plan, scene, name, how):
    plan_uri, whole = make_plan(scene), make_plan(scene, work=f"{scene}-work")
    asked = []
    with pytest.raises(ShardInterruptedError):
        run_shard(plan_uri, 0, stop=lambda: len(asked.append(1) or asked) == 7)
    file = Path(RunPaths.from_plan_uri(plan_uri).shard_file(name))
    content = file.read_bytes()
    middle = len(content) // 2
    match how:
        case "cut":
            file.write_bytes(content[:middle])
        case "flipped":
            file.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "gone":
            file.unlink()

    receipt, expected = run_shard(plan_uri, 0), run_shard(whole, 0)

    assert (receipt.tiles, receipt.detections) == (expected.tiles, expected.detections)
    assert receipt.files == expected.files


def test_progress_whose_files_are_not_of_one_time_is_none(make_plan, scene):
    """Check a shard killed between two files: the files are newer than the checkpoint."""
    plan_uri = make_plan(scene)
    paths = RunPaths.from_plan_uri(plan_uri)
    asked = []
    for after in (5, 9):
        kept = storage.read_bytes(paths.checkpoint(0)) if asked else b""
        with pytest.raises(ShardInterruptedError):
            run_shard(plan_uri, 0, stop=lambda: len(asked.append(1) or asked) == after)  # noqa: B023
    storage.write_bytes(paths.checkpoint(0), kept)
    del asked[:]

    receipt = run_shard(plan_uri, 0, stop=lambda: asked.append(1))

    assert len(asked) == 39  # it starts from the first tile
    assert receipt.tiles == TileCounts(planned=40, succeeded=40)


def test_a_receipt_says_how_long_it_took(make_plan, scene):
    assert 0 <= run_shard(make_plan(scene), 0).seconds < 60


def test_a_scene_that_is_gone_is_refused(make_plan, scene):
    plan_uri = make_plan(scene)
    Path(scene).unlink()

    with pytest.raises(SceneError, match="no scene at"):
        run_shard(plan_uri, 0)


def test_a_package_that_was_replaced_is_refused(make_plan, scene, package):
    plan_uri = make_plan(scene)
    (package / "more.txt").write_text("more")

    with pytest.raises(PackageError, match="replaced since the run began"):
        run_shard(plan_uri, 0)


@pytest.mark.enable_socket
def test_everything_on_s3(make_plan, scene, package, http_bucket, tmp_path):
    packing.pack(package, tmp_path / "model.tar.gz")
    storage.copy(scene, f"{http_bucket}/scene.tif")
    storage.copy(str(tmp_path / "model.tar.gz"), f"{http_bucket}/model.tar.gz")
    plan_uri = make_plan(
        f"{http_bucket}/scene.tif", model=f"{http_bucket}/model.tar.gz", work=http_bucket
    )
    with pytest.raises(ShardInterruptedError):
        run_shard(plan_uri, 0, stop=lambda: True)

    receipt = run_shard(plan_uri, 0)

    assert receipt.tiles == TileCounts(planned=40, succeeded=40)
    assert storage.exists(RunPaths.from_plan_uri(plan_uri).shard(0))
