import pyarrow.parquet as pq
import pytest

from swath.detection import parquet as module
from swath.detection.detections import Detections
from swath.detection.parquet import DetectionsWriter, read_detections, read_in_order, read_metadata
from tests.helpers.detections import assert_same, outlined, some


def test_a_shard_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROW_GROUP_ROWS", 10)
    written = [some(4, 0), some(0, 1), some(7, 2), some(3, 5)]
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for part in written:
            out.append(part)
        out.add_metadata("key", "text")

    groups = list(read_detections(tmp_path / "shard.parquet"))

    assert out.count == 14
    assert [len(group) for group in groups] == [11, 3]  # a tile is never split
    assert_same(Detections.concatenate(groups), Detections.concatenate(written))
    assert read_metadata(tmp_path / "shard.parquet", "key") == "text"


def test_stitched_detections_are_read_in_order_of_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROW_GROUP_ROWS", 10)
    streamed = [some(6, 1), some(8, 4), some(3, 5)]
    settled, more = [some(12, 4), some(1, 9)], [some(2, 0), some(1, 4), some(1, 11)]
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for part in streamed:
            out.append(part)
        out.finish(Detections.concatenate(settled))

    groups = list(read_in_order(tmp_path / "shard.parquet", Detections.concatenate(more)))

    assert out.count == 30
    assert_same(
        Detections.concatenate(groups),
        Detections.concatenate([*streamed, *settled, *more]).sorted_by_tile(),
    )


@pytest.mark.parametrize("more", [0, 3])
def test_a_shard_that_stitched_everything_at_once_or_nothing(tmp_path, more):
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        out.finish(Detections.empty())

    rows = list(read_in_order(tmp_path / "shard.parquet", some(more, 2)))

    assert_same(Detections.concatenate(rows), some(more, 2).sorted_by_tile())


def test_an_empty_shard(tmp_path):
    with DetectionsWriter(tmp_path / "shard.parquet"):
        pass

    assert list(read_detections(tmp_path / "shard.parquet")) == []
    assert pq.read_metadata(tmp_path / "shard.parquet").num_rows == 0


def test_what_fails_halfway_leaves_no_rows_pretending_to_be_all(tmp_path):
    def fail():
        with DetectionsWriter(tmp_path / "shard.parquet") as out:
            out.append(some(4, 0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert pq.read_metadata(tmp_path / "shard.parquet").num_rows == 0


@pytest.mark.parametrize("more", [some(3, 8), Detections.empty(), outlined(2, 9)])
def test_outlines_are_read_as_they_were_written(tmp_path, monkeypatch, more):
    monkeypatch.setattr(module, "ROW_GROUP_ROWS", 10)
    parts = [some(12, 0), outlined(7, 1), more]  # one row group of boxes, and one of outlines
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for part in parts:
            out.append(part)
        out.finish(Detections.empty())

    groups = list(read_detections(tmp_path / "shard.parquet"))

    assert [group.outline is None for group in groups] == [True, False]
    assert_same(groups[0], parts[0])
    assert_same(groups[1], Detections.concatenate(parts[1:]))
    together = list(read_in_order(tmp_path / "shard.parquet", Detections.empty()))
    assert_same(Detections.concatenate(together), Detections.concatenate(parts).sorted_by_tile())


def test_row_groups_end_where_outlines_grow_heavy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ROW_GROUP_VERTICES", 50)
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for tile in range(6):
            out.append(outlined(5, tile))  # 28 corners

    assert [len(group) for group in read_detections(tmp_path / "shard.parquet")] == [10, 10, 10]
