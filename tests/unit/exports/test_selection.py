"""Tests of the selection of detections in files: against each condition by itself."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.database.queries.filters import DetectionFilter
from swath.detection.geoparquet import SCHEMA
from swath.errors import InputError
from swath.exports.selection import Selection, parse_bbox, read_area

NOON = datetime(2026, 5, 31, 12, tzinfo=UTC)
RUN = "80f2d1d2-b55f-8bd4-b2ed-380a619ed308"


def rows(count, seed=0):
    """Return boxes of up to 3 degrees; one in five is on both sides of the antimeridian."""
    rng = np.random.default_rng(seed)
    west, south = rng.uniform(-180, 176, count), rng.uniform(-80, 77, count)
    shapes = shapely.box(
        west, south, west + rng.uniform(0.1, 3, count), south + rng.uniform(0.1, 3, count)
    )
    for index in range(0, count, 5):
        shapes[index] = shapely.MultiPolygon(
            [
                shapely.box(179, south[index], 180, south[index] + 1),
                shapely.box(-180, south[index], -179, south[index] + 1),
            ]
        )
    edges = shapely.bounds(shapes)
    names = ("xmin", "ymin", "xmax", "ymax")
    return pa.table(
        {
            "class": rng.choice(["ship", "boat", "raft"], count),
            "score": rng.random(count).astype(np.float32),
            "geometry": shapely.to_wkb(shapes, byte_order=1),
            "bbox": [dict(zip(names, row, strict=True)) for row in edges.tolist()],
            **{name: rng.uniform(0, 9, count) for name in ("x_min", "y_min", "x_max", "y_max")},
            "tile": np.arange(count),
            "run_id": [RUN] * count,
            "scene": ["s"] * count,
            "model": rng.choice(["ships", "trees"], count),
            "acquired_at": [
                None if i % 7 == 3 else NOON.replace(hour=i % 24) for i in range(count)
            ],
        }
    ).cast(SCHEMA)


boxes = st.tuples(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90)
).map(lambda box: (box[0], min(box[1], box[3]), box[2], max(box[1], box[3])))
filters = st.builds(
    DetectionFilter,
    classes=st.sampled_from([(), ("ship",), ("ship", "raft"), ("car",)]),
    min_score=st.none() | st.floats(0, 1),
    start=st.none() | st.integers(0, 23).map(lambda hour: NOON.replace(hour=hour)),
    end=st.none() | st.integers(0, 23).map(lambda hour: NOON.replace(hour=hour)),
    bbox=st.none() | boxes,
    model=st.sampled_from([None, "ships", "other"]),
)


def matches(row, asked):
    """Return whether a row matches, one condition after the other."""
    shape = shapely.from_wkb(row["geometry"])
    time = row["acquired_at"]
    if asked.bbox is not None:
        west, south, east, north = asked.bbox
        areas = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        if not any(shape.intersects(shapely.box(w, south, e, north)) for w, e in areas):
            return False
    return (
        (not asked.classes or row["class"] in asked.classes)
        and (asked.min_score is None or np.float32(row["score"]) >= np.float32(asked.min_score))
        and (asked.start is None or (time is not None and time >= asked.start))
        and (asked.end is None or (time is not None and time < asked.end))
        and (asked.model is None or row["model"] == asked.model)
    )


@given(filters, st.integers(0, 5))
def test_what_matches_is_kept_and_no_row_group_with_it_is_skipped(asked, seed):
    table = rows(60, seed)
    selection = Selection(asked)
    expected = [row["tile"] for row in table.to_pylist() if matches(row, asked)]

    assert selection.select(table)["tile"].to_pylist() == expected

    content = pa.BufferOutputStream()
    pq.write_table(table, content, row_group_size=6)
    with pq.ParquetFile(pa.BufferReader(content.getvalue())) as file:
        groups = [g for g in range(10) if selection.may_match(file.metadata.row_group(g))]
        kept = selection.select(file.read_row_groups(groups)) if groups else table.slice(0, 0)
    assert kept["tile"].to_pylist() == expected


def test_row_groups_elsewhere_are_skipped():
    content = pa.BufferOutputStream()
    pq.write_table(rows(60), content, row_group_size=6)
    footer = pq.read_metadata(pa.BufferReader(content.getvalue()))
    for asked in (
        DetectionFilter(bbox=(0, 89, 1, 90)),
        DetectionFilter(classes=("aaa",)),
        DetectionFilter(model="zzz"),
        DetectionFilter(start=NOON.replace(year=2027)),
    ):
        assert not any(Selection(asked).may_match(footer.row_group(g)) for g in range(10))


def test_an_area_is_finer_than_its_box(tmp_path):
    area = shapely.Polygon([(-170, -70), (170, -70), (170, 70)])
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "Feature", "geometry": shapely.geometry.mapping(area)}))
    table = rows(200)

    selection = Selection.from_area(DetectionFilter(), read_area(str(path)))

    kept = selection.select(table)["tile"].to_pylist()
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert kept == np.flatnonzero(shapely.intersects(area, shapes)).tolist()
    assert 0 < len(kept) < len(Selection(selection.asked).select(table))


def test_a_box_and_an_area_are_refused_together():
    with pytest.raises(InputError, match="not both"):
        Selection.from_area(DetectionFilter(bbox=(0, 0, 1, 1)), shapely.box(0, 0, 1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "no GeoJSON of polygons"),
        ("[]", "no GeoJSON of polygons"),
        ('{"type": "Point"}', "no GeoJSON of polygons"),
        ('{"type": "Point", "coordinates": [1, 2]}', "has no polygon"),
        ('{"type": "FeatureCollection", "features": []}', "has no polygon"),
        ("[" * 100_000, "no GeoJSON of polygons"),
        (shapely.to_geojson(shapely.box(5e5, 4e6, 6e5, 5e6)), "not in longitude and latitude"),
    ],
)
def test_a_file_without_an_area_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "area.geojson"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_area(str(path))
    assert "area.geojson" in str(caught.value)


def test_a_file_with_an_area_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("swath.exports.selection.MAX_AREA_BYTES", 1 << 20)
    (tmp_path / "area.geojson").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(InputError, match="has more than 1 MiB"):
        read_area(str(tmp_path / "area.geojson"))


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "1,2,3,4,5"])
def test_a_box_is_four_numbers(text):
    with pytest.raises(InputError, match="write west,south,east,north"):
        parse_bbox(text)
    assert parse_bbox("1, 2,3.5,-4") == (1, 2, 3.5, -4)
