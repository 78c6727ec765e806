"""Tests of the COPY stream: against PostgreSQL's documentation by byte, and against PostGIS."""

import struct

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.database.copy_rows import COLUMNS, HEADER, TRAILER, copy_rows

COORDINATE = st.integers(-900, 900).map(lambda tenth: tenth / 10)
RING = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=9)
GEOMETRY = st.one_of(
    RING.map(shapely.Polygon),
    st.lists(RING.map(shapely.Polygon), min_size=1, max_size=3).map(shapely.MultiPolygon),
    st.just(shapely.Polygon()),
    st.lists(RING.map(shapely.Polygon), max_size=2).map(shapely.GeometryCollection),
)
NUMBERS = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**15), 2**15 - 1),
    st.floats(0, 1, width=32),
    st.integers(0, 2**62),
    st.integers(0, 2**52),
    st.floats(0, width=32, allow_infinity=False),
    st.floats(0, width=32, allow_infinity=False),
)
DETECTION = st.tuples(NUMBERS, GEOMETRY)
FORMATS = (">i", ">h", ">f", ">q", ">q", ">f", ">f")
TYPES = (np.int32, np.int16, np.float32, np.int64, np.int64, np.float32, np.float32)


def arguments(detections):
    """Return the detections as the arguments that `copy_rows` takes."""
    numbers, geometries = zip(*detections, strict=True) if detections else ([], [])
    values = zip(*numbers, strict=True) if detections else [[]] * len(TYPES)
    columns = {
        name: np.array(column, kind)
        for name, column, kind in zip(COLUMNS[:-1], values, TYPES, strict=True)
    }
    wkb = [shapely.to_wkb(geometry, byte_order=1) for geometry in geometries]
    return columns, np.frombuffer(b"".join(wkb), np.uint8), np.array(list(map(len, wkb)), np.int64)


def row(numbers, geometry):
    """Return one row's bytes, written as PostgreSQL documents them."""
    ewkb = shapely.to_wkb(shapely.set_srid(geometry, 4326), include_srid=True, byte_order=1)
    fields = [*map(struct.pack, FORMATS, numbers), ewkb]
    return struct.pack(">h", 8) + b"".join(struct.pack(">i", len(f)) + f for f in fields)


@given(st.lists(DETECTION, max_size=12))
def test_the_stream_is_what_postgresql_describes(detections):
    assert copy_rows(*arguments(detections)).tobytes() == b"".join(
        row(*detection) for detection in detections
    )


@given(NUMBERS, GEOMETRY, st.integers(1, 5))
def test_geometries_of_one_size_give_the_same_stream(numbers, geometry, count):
    detections = [(numbers, geometry)] * count
    assert copy_rows(*arguments(detections)).tobytes() == row(numbers, geometry) * count


def test_a_column_may_be_one_number():
    detection = ((3, 1, 0.5, 3, 4, 5.0, 6.0), shapely.box(0, 0, 1, 1))
    columns, *geometries = arguments([detection] * 2)
    assert copy_rows({**columns, "run": 3}, *geometries).tobytes() == row(*detection) * 2


def test_postgis_reads_the_stream(connection):
    shapes = [
        shapely.box(179, -1, 180, 1),
        shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)]),
        shapely.Polygon([(0, 0), (4, 0), (4, 4)], [[(2.5, 1), (3.5, 1), (3.5, 2)]]),
    ]
    detections = [
        ((i, i + 1, i / 7, 2**40 + i, 2**50 + i, 1.5 * i, 2.5 * i), shape)
        for i, shape in enumerate(shapes)
    ]
    statement = f"COPY swath.detection_rows ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for part in (HEADER, copy_rows(*arguments(detections)).tobytes(), TRAILER):
            copy.write(part)

    found = connection.execute(
        f"SELECT {', '.join(COLUMNS[:-1])}, ST_AsBinary(geom), ST_SRID(geom)"  # noqa: S608
        " FROM swath.detection_rows ORDER BY id"
    ).fetchall()

    for (*numbers, wkb, srid), (sent, shape) in zip(found, detections, strict=True):
        assert (numbers, srid) == ([*sent[:2], pytest.approx(sent[2]), *sent[3:]], 4326)
        assert shapely.from_wkb(bytes(wkb)).equals_exact(shape, 0)


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
    columns, *_ = arguments([((3, 1, 0.5, 3, 4, 5.0, 6.0), shapely.box(0, 0, 1, 1))])
    with pytest.raises(ValueError, match="WKB"):
        copy_rows(columns, np.frombuffer(wkb, np.uint8), np.array([len(wkb)]))
