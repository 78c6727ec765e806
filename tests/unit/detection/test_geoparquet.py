"""Tests of GeoParquet files: content as pyarrow and shapely read it, and row groups."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import swath
from swath.database.columns import encode_batch
from swath.detection import geoparquet as module
from swath.detection import geoparquet_file
from swath.detection.detections import Detections
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts, read_footprint, read_valid_footprint
from swath.messages import Acquisition
from swath.raster.polygons import PolygonArray

CLASSES = ["ship", "boat"]
FOOTPRINT = shapely.box(0, 0, 110, 110)
VALID_FOOTPRINT = shapely.box(0, 0, 110, 80)


def some(count, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (count, 2))
    box = np.concatenate([low, low + rng.uniform(1, 9, (count, 2))], axis=1)
    score, label = rng.random(count).astype(np.float32), rng.integers(0, 2, count).astype(np.int16)
    return Detections(box, score, label, np.arange(count), np.zeros(count, np.uint8))


def rings(rows):
    """Return boxes in px as polygons in degrees."""
    x0, y0, x1, y1 = rows.box.T
    return PolygonArray.from_corners(np.stack([x0, x1, x1, x0], 1), np.stack([y0, y0, y1, y1], 1))


def with_shapes(places, shapes):
    """Return the same polygons, with the rows of the dict `shapes` replaced by shapes."""
    ring, shape = places.quads.copy(), places.geometry_array
    for row, value in shapes.items():
        ring[row], shape[row] = np.nan, value
    return PolygonArray(ring, shape)


def write(path, rows, places, sizes=None, acquired_at=None):
    facts = SceneFacts(
        footprint=FOOTPRINT,
        valid_footprint=VALID_FOOTPRINT,
        valid_area_m2=2.5e9,
        acquisition=Acquisition(acquired_at=acquired_at, platform="sentinel-2a"),
    )
    constants = {"run_id": "r", "scene": "s", "model": "m", "facts": facts}
    with GeoParquetWriter(path, classes=CLASSES, **constants) as out:
        start = 0
        for size in sizes or [len(rows)]:
            part = slice(start, start + size)
            out.write(rows.take(part), places.take(part))
            start += size
    return out.count


def read(path):
    """Return the rows of a file in the order in which they were given."""
    table = pq.read_table(path)
    return table.sort_by("tile")


def test_it_says_where_its_scene_is(tmp_path):
    rows = some(0)
    write(tmp_path / "x", rows, rings(rows))
    footer = module.read_footer(str(tmp_path / "x"))
    assert shapely.equals(shapely.geometry.shape(read_footprint(footer)), FOOTPRINT)
    assert shapely.equals(shapely.geometry.shape(read_valid_footprint(footer)), VALID_FOOTPRINT)
    assert json.loads(footer.metadata[b"swath:valid_area_m2"]) == 2.5e9
    assert footer.metadata[b"swath:version"].decode() == swath.__version__


def test_it_says_when_its_scene_was_acquired(tmp_path):
    rows = some(70)
    write(tmp_path / "x", rows, rings(rows), acquired_at="2026-05-31T10:00:00.5Z")
    footer = pq.read_metadata(tmp_path / "x")
    acquired_at = datetime(2026, 5, 31, 10, 0, 0, 500_000, UTC)
    assert set(pq.read_table(tmp_path / "x")["acquired_at"].to_pylist()) == {acquired_at}
    stated = json.loads(footer.metadata[b"swath:acquisition"])
    assert stated == {"acquired_at": "2026-05-31T10:00:00.5Z", "platform": "sentinel-2a"}
    # Readers skip files by the bounds of the time.
    column = footer.row_group(0).column(footer.num_columns - 1)
    assert (column.path_in_schema, column.statistics.min) == ("acquired_at", acquired_at)


def test_an_unknown_time_is_null(tmp_path):
    rows = some(3)
    write(tmp_path / "x", rows, rings(rows))
    assert pq.read_table(tmp_path / "x")["acquired_at"].to_pylist() == [None] * 3


@pytest.mark.parametrize("likely", [8, 64 * 1024])
@pytest.mark.parametrize("count", [0, 250])
def test_the_footer_has_the_counts_of_classes(tmp_path, monkeypatch, count, likely):
    """Check that a footer is read even if it is larger than the first read."""
    monkeypatch.setattr(geoparquet_file, "ROW_GROUP_ROWS", 33)
    monkeypatch.setattr(module, "_FIRST_READ_BYTES", likely)
    rows = some(count)
    write(tmp_path / "x", rows, rings(rows))

    footer = module.read_footer(str(tmp_path / "x"))

    counts = np.bincount(rows.label, minlength=len(CLASSES)).tolist()
    assert list(module.read_classes(footer).items()) == list(zip(CLASSES, counts, strict=True))
    assert footer.num_rows == count
    assert footer.num_row_groups == -(-count // 33)
    assert footer.schema.to_arrow_schema() == pq.read_schema(tmp_path / "x")


def shapes_in(table):
    return shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))


def test_every_column_is_what_was_given(tmp_path):
    rows = some(50)
    places = rings(rows)

    assert write(tmp_path / "x", rows, places) == 50

    table = read(tmp_path / "x")
    assert table["class"].to_pylist() == [CLASSES[label] for label in rows.label]
    np.testing.assert_array_equal(table["score"].to_numpy(), rows.score)
    np.testing.assert_array_equal(table["tile"].to_numpy(), rows.tile)
    for name, values in zip(("x_min", "y_min", "x_max", "y_max"), rows.box.T, strict=True):
        np.testing.assert_array_equal(table[name].to_numpy(), values)
    for name, value in {"run_id": "r", "scene": "s", "model": "m"}.items():
        assert set(table[name].to_pylist()) == {value}
    assert shapely.equals_exact(shapes_in(table), shapely.box(*rows.box.T), normalize=True).all()
    bbox = [list(row.values()) for row in table["bbox"].to_pylist()]
    np.testing.assert_array_equal(bbox, shapely.bounds(shapes_in(table)))


def test_wkb_is_byte_for_byte_that_of_shapely(tmp_path):
    rows = some(20)
    places = rings(rows)
    write(tmp_path / "x", rows, places)

    written = read(tmp_path / "x")["geometry"].to_pylist()

    assert written == list(shapely.to_wkb(shapely.polygons(places.quads), byte_order=1))


def test_rings_and_shapes_keep_their_order(tmp_path):
    hole = shapely.Point(5, 5).buffer(3) - shapely.Point(5, 5).buffer(1)
    two = shapely.MultiPolygon([shapely.box(-180, 0, -179, 1), shapely.box(179, 0, 180, 1)])
    rows = some(9)
    places = with_shapes(rings(rows), {0: hole, 4: two, 8: hole})

    write(tmp_path / "x", rows, places)

    table = read(tmp_path / "x")
    assert shapely.equals_exact(shapes_in(table), places.to_shapely()).all()
    assert table["bbox"][4].as_py() == {"xmin": -180, "ymin": 0, "xmax": 180, "ymax": 1}
    meta = json.loads(pq.read_metadata(tmp_path / "x").metadata[b"geo"])
    assert meta["columns"]["geometry"]["geometry_types"] == ["MultiPolygon", "Polygon"]
    everywhere = shapely.total_bounds(places.to_shapely())
    assert meta["columns"]["geometry"]["bbox"] == everywhere.tolist()


def test_what_is_nowhere_has_no_row(tmp_path):
    rows = some(6)
    places = with_shapes(rings(rows), {1: None, 4: None})

    assert write(tmp_path / "x", rows, places) == 4

    assert read(tmp_path / "x")["tile"].to_pylist() == [0, 2, 3, 5]


def test_the_database_takes_what_is_written(tmp_path):
    """Check that the loader reads rings and other shapes alike, in batches across row groups."""
    rows = some(30)
    write(tmp_path / "x", rows, with_shapes(rings(rows), {3: shapely.Point(5, 5).buffer(3)}))

    with pq.ParquetFile(tmp_path / "x") as file:
        columns = next(file.iter_batches(batch_size=30)).select(
            ["class", "score", "tile", "geometry"]
        )
    classes = {name: number for number, name in enumerate(columns["class"].unique().to_pylist())}

    plain = encode_batch(1, classes, *columns.slice(0, 1).columns)
    whole = encode_batch(1, classes, *columns.columns)

    assert len(plain) == 2 + 8 * 4 + (4 + 2 + 4 + 8 + 8 + 4 + 4) + 93 + 4
    assert bytes(whole).startswith(bytes(plain))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.booleans())
def test_row_groups_do_not_depend_on_what_is_written_at_once(tmp_path_factory, sizes, shaped):
    folder = tmp_path_factory.mktemp("files")
    rows = some(sum(sizes))
    places = rings(rows)
    if shaped:
        circle = shapely.Point(5, 5).buffer(3)
        places = with_shapes(places, {0: circle, len(rows) // 2: None, len(rows) - 1: circle})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet_file, "ROW_GROUP_ROWS", 10)
        patch.setattr(geoparquet_file, "MAX_ROW_GROUP_BYTES", 1120)
        patch.setattr(module, "MAX_ROW_GROUP_VERTICES", 70)
        write(folder / "a", rows, places)
        write(folder / "b", rows, places, sizes)

    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_a_row_group_holds_so_many_rows_or_corners(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet_file, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(geoparquet_file, "MAX_ROW_GROUP_BYTES", 8000)
    monkeypatch.setattr(module, "MAX_ROW_GROUP_VERTICES", 500)
    long = shapely.segmentize(shapely.box(0, 0, 1, 1), 0.01)  # 401 corners
    rows = some(30)
    # All rows have one cell, so that their order is that of their tiles.
    monkeypatch.setattr(module, "center_cells", lambda edges: np.zeros(edges.shape[1], np.int64))
    write(tmp_path / "x", rows, with_shapes(rings(rows), {20: long, 21: long}))

    meta = pq.read_metadata(tmp_path / "x")

    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [10, 10, 2, 8]


def test_an_error_while_encoding_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet_file, "ROW_GROUP_ROWS", 10)
    rows = some(40)

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(geoparquet_file.pq.ParquetWriter, "write_table", fail)

    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "x", rows, rings(rows))


def test_the_file_can_be_read_by_row_group_with_statistics(tmp_path):
    rows = some(100)
    write(tmp_path / "x", rows, rings(rows))

    group = pq.read_metadata(tmp_path / "x").row_group(0)

    columns = [group.column(i) for i in range(group.num_columns)]
    stats = {c.path_in_schema: c.statistics for c in columns}
    assert stats["bbox.xmin"].min == rows.box[:, 0].min()
    assert stats["tile"].max == 99
    assert stats["run_id"].min == "r"
    assert stats["geometry"] is None
    assert pq.read_schema(tmp_path / "x").field("geometry").type == pa.binary()


def test_a_query_of_an_area_skips_most_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet_file, "ROW_GROUP_ROWS", 100)
    rows = some(10_000)
    write(tmp_path / "x", rows, rings(rows))

    meta = pq.read_metadata(tmp_path / "x")
    names = [meta.schema.column(i).path for i in range(meta.num_columns)]
    bounds = {
        edge: [
            getattr(meta.row_group(g).column(names.index(f"bbox.{edge}")).statistics, extreme)
            for g in range(meta.num_row_groups)
        ]
        for edge, extreme in [("xmin", "min"), ("ymin", "min"), ("xmax", "max"), ("ymax", "max")]
    }
    # A hundredth of the area, with boxes of up to a tenth of its width.
    is_read = (
        (np.array(bounds["xmin"]) <= 50)
        & (np.array(bounds["xmax"]) >= 40)
        & (np.array(bounds["ymin"]) <= 50)
        & (np.array(bounds["ymax"]) >= 40)
    )
    assert 1 <= is_read.sum() <= 15


def test_the_order_depends_on_the_detections_alone(tmp_path):
    """Check that other shards, which add the detections in another order, give the same bytes."""
    rows = some(300)
    places = rings(rows)
    order = np.random.default_rng(1).permutation(len(rows))
    write(tmp_path / "a", rows, places)
    write(tmp_path / "b", rows.take(order), places.take(order))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
