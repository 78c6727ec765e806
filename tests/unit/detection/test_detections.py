import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.detection import detections as module
from swath.detection.detections import (
    Detections,
    DetectionsWriter,
    read_detections,
    read_in_order,
    read_note,
)


def some(count, tile, flags=0):
    rng = np.random.default_rng(tile)
    return Detections(
        rng.uniform(0, 100, (count, 4)),
        rng.uniform(0, 1, count).astype(np.float32),
        rng.integers(0, 3, count).astype(np.int16),
        np.full(count, tile, np.int64),
        np.full(count, flags, np.uint8),
    )


def outlined(count, tile, seed=0):
    """Detections with triangles, or triangles of two, in them."""
    plain = some(count, tile)
    rng = np.random.default_rng(seed)
    low, high = np.minimum(*np.split(plain.box, 2, 1)), np.maximum(*np.split(plain.box, 2, 1))
    corners = low[:, None] + rng.uniform(0, 1, (count, 6, 2)) * (high - low)[:, None]
    shapes = shapely.polygons(corners[:, :3])
    shapes[::3] = [
        shapely.MultiPolygon([shapely.Polygon(c[:3]), shapely.Polygon(c[3:])]) for c in corners[::3]
    ]
    return dataclasses.replace(plain, box=shapely.bounds(shapes).reshape(-1, 4), outline=shapes)


def assert_same(one, other):
    assert (one.outline is None) == (other.outline is None)
    if one.outline is not None:
        assert shapely.equals_exact(one.outline, other.outline).all()
    for name in ("box", "score", "label", "tile", "flags"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_shard_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROW_GROUP", 10)
    written = [some(4, 0), some(0, 1), some(7, 2), some(3, 5)]
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for part in written:
            out.append(part)
        out.note("key", "text")

    groups = list(read_detections(tmp_path / "shard.parquet"))

    assert out.count == 14
    assert [len(group) for group in groups] == [11, 3]  # a tile is never split
    assert_same(Detections.concatenate(groups), Detections.concatenate(written))
    assert read_note(tmp_path / "shard.parquet", "key") == "text"


def test_what_was_settled_is_read_in_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROW_GROUP", 10)
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
        Detections.concatenate([*streamed, *settled, *more]).ordered(),
    )


@pytest.mark.parametrize("more", [0, 3])
def test_a_shard_that_settled_everything_at_once_or_nothing(tmp_path, more):
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        out.finish(Detections.empty())

    rows = list(read_in_order(tmp_path / "shard.parquet", some(more, 2)))

    assert_same(Detections.concatenate(rows), some(more, 2).ordered())


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


@given(st.permutations(range(6)))
def test_the_order_depends_on_the_rows_alone(order):
    rows = Detections.concatenate([some(2, 3), some(3, 1), some(1, 2)])

    ordered = rows.take(np.array(order)).ordered()

    assert_same(ordered, rows.ordered())
    assert ordered.tile.tolist() == [1, 1, 1, 2, 3, 3]
    assert (np.diff(ordered.score[:3]) <= 0).all()


@pytest.mark.parametrize("more", [some(3, 8), Detections.empty(), outlined(2, 9)])
def test_outlines_are_read_as_they_were_written(tmp_path, monkeypatch, more):
    monkeypatch.setattr(module, "ROW_GROUP", 10)
    parts = [some(12, 0), outlined(7, 1), more]  # a row group of boxes, and one of outlines
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for part in parts:
            out.append(part)
        out.finish(Detections.empty())

    groups = list(read_detections(tmp_path / "shard.parquet"))

    assert [group.outline is None for group in groups] == [True, False]
    assert_same(groups[0], parts[0])
    assert_same(groups[1], Detections.concatenate(parts[1:]))
    together = list(read_in_order(tmp_path / "shard.parquet", Detections.empty()))
    assert_same(Detections.concatenate(together), Detections.concatenate(parts).ordered())


def test_boxes_among_outlines_are_outlines_of_their_boxes():
    both = Detections.concatenate([some(2, 0), outlined(1, 1)])

    low, high = both.box[:2, :2], both.box[:2, 2:]
    expected = shapely.box(*np.minimum(low, high).T, *np.maximum(low, high).T)
    assert shapely.equals(both.outline[:2], expected).all()


def test_row_groups_end_where_outlines_grow_heavy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_CORNERS", 50)
    with DetectionsWriter(tmp_path / "shard.parquet") as out:
        for tile in range(6):
            out.append(outlined(5, tile))  # 28 corners

    assert [len(group) for group in read_detections(tmp_path / "shard.parquet")] == [10, 10, 10]


@given(st.permutations(range(8)), st.booleans())
def test_the_order_of_outlines_in_one_box_depends_on_them_alone(order, tied):
    one = outlined(8, 3)
    if tied:
        ones = np.ones(8, np.float32)
        one = Detections(
            np.tile([0.0, 0, 9, 9], (8, 1)),
            ones,
            ones.astype(np.int16),
            one.tile,
            one.flags,
            one.outline,
        )

    assert_same(one.take(np.array(order)).ordered(), one.ordered())


def test_nothing_concatenated_is_nothing():
    assert_same(Detections.concatenate([]), Detections.empty())
