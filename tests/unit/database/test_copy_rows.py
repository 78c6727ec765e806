"""Tests of the COPY stream: against PostgreSQL's documentation by byte, and against PostGIS."""

import struct
import uuid

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.database.copy_rows import COLUMNS, HEADER, TRAILER, copy_rows

RUN = "2c5a6f0a-94a5-8b21-9a3e-0f4f7d1c2b3a"
COORDINATE = st.integers(-900, 900).map(lambda tenth: tenth / 10)
RING = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=9)
GEOMETRY = st.one_of(
    RING.map(shapely.Polygon),
    st.lists(RING.map(shapely.Polygon), min_size=1, max_size=3).map(shapely.MultiPolygon),
    st.just(shapely.Polygon()),
    st.lists(RING.map(shapely.Polygon), max_size=2).map(shapely.GeometryCollection),
)
DETECTION = st.tuples(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.floats(0, 1, width=32),
    st.integers(0, 2**62),
    GEOMETRY,
)


def columns(detections):
    """Return the detections as the columns that `copy_rows` takes."""
    names, scores, tiles, geometries = zip(*detections, strict=True) if detections else ([],) * 4
    return (
        pa.array(names, pa.string()),
        pa.array(scores, pa.float32()),
        pa.array(tiles, pa.int64()),
        pa.array([shapely.to_wkb(g, byte_order=1) for g in geometries], pa.binary()),
    )


def row(name, score, tile, geometry):
    """Return one row's bytes, written as PostgreSQL documents them."""
    ewkb = shapely.to_wkb(shapely.set_srid(geometry, 4326), include_srid=True, byte_order=1)
    fields = [
        uuid.UUID(RUN).bytes,
        name.encode(),
        struct.pack(">f", score),
        struct.pack(">q", tile),
        ewkb,
    ]
    return struct.pack(">h", 5) + b"".join(struct.pack(">i", len(f)) + f for f in fields)


@given(st.lists(DETECTION, max_size=12))
def test_the_stream_is_what_postgresql_describes(detections):
    assert copy_rows(RUN, *columns(detections)).tobytes() == b"".join(
        row(*detection) for detection in detections
    )


@given(st.lists(DETECTION, min_size=3, max_size=12), st.data())
def test_a_slice_of_a_column_is_as_good_as_a_column(detections, data):
    start = data.draw(st.integers(0, len(detections) - 1))
    sliced = [column[start:] for column in columns(detections)]
    whole = copy_rows(RUN, *columns(detections[start:]))
    np.testing.assert_array_equal(copy_rows(RUN, *sliced), whole)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_classes_may_be_encoded_in_any_way(kind):
    detection = ("ship", 0.5, 3, shapely.box(0, 0, 1, 1))
    names, *others = columns([detection] * 3)
    rows = copy_rows(RUN, names.cast(kind), *others)
    assert rows.tobytes() == row(*detection) * 3


def test_a_class_may_be_empty():
    detection = ("", 0.5, 3, shapely.box(0, 0, 1, 1))
    assert copy_rows(RUN, *columns([detection] * 2)).tobytes() == row(*detection) * 2


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_there_may_be_no_detections(kind):
    names, *others = columns([])
    assert len(copy_rows(RUN, names.cast(kind), *others)) == 0


def test_postgis_reads_the_stream(connection):
    shapes = [
        shapely.box(179, -1, 180, 1),
        shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)]),
        shapely.Polygon([(0, 0), (4, 0), (4, 4)], [[(2.5, 1), (3.5, 1), (3.5, 2)]]),
    ]
    detections = [(f"klass {i} é", i / 7, 2**40 + i, shape) for i, shape in enumerate(shapes)]
    connection.execute(
        "INSERT INTO swath.runs (run_id, scene_uri, scene_etag, scene_dropped_at, model,"
        " model_digest, options, status, ended_at)"
        " VALUES (%s, 's', 'e', now(), 'm', 'd', '{}', 'succeeded', now())",
        [RUN],
    )
    statement = f"COPY swath.detections ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for part in (HEADER, copy_rows(RUN, *columns(detections)).tobytes(), TRAILER):
            copy.write(part)

    found = connection.execute(
        "SELECT class, score, tile, ST_AsBinary(geom), ST_SRID(geom), run_id::text"
        " FROM swath.detections ORDER BY id"
    ).fetchall()

    for (name, score, tile, wkb, srid, run), expected in zip(found, detections, strict=True):
        assert (name, tile, srid, run) == (expected[0], expected[2], 4326, RUN)
        assert score == np.float32(expected[1])
        assert shapely.from_wkb(bytes(wkb)).equals_exact(expected[3], 0)


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_value_is_refused(missing):
    given = list(columns([("ship", 0.5, 3, shapely.box(0, 0, 1, 1))] * 2))
    given[missing] = pa.concat_arrays([given[missing][:1], pa.nulls(1, given[missing].type)])
    with pytest.raises(ValueError, match="1 of 2 values are missing"):
        copy_rows(RUN, *given)


@pytest.mark.parametrize(
    "wkb",
    [
        shapely.to_wkb(shapely.Point(1, 2), byte_order=0),
        shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 3857), include_srid=True),
        shapely.to_wkb(shapely.Point(1, 2, 3)),
        b"\x02" + shapely.to_wkb(shapely.Point(1, 2), byte_order=1)[1:],
        b"\x01\x03",
    ],
)
def test_what_is_not_plain_wkb_is_refused(wkb):
    names, scores, tiles, _ = columns([("ship", 0.5, 3, shapely.box(0, 0, 1, 1))])
    with pytest.raises(ValueError, match="WKB"):
        copy_rows(RUN, names, scores, tiles, pa.array([wkb], pa.binary()))
