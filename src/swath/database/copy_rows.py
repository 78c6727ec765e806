"""Encode detections as PostgreSQL's binary COPY rows with NumPy, without a Python object per row.

COPY: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format);
EWKB: https://libgeos.org/specifications/wkb/#extended-wkb.

The module does not use pgpq, because pgpq 0.12 does not support geometries: NumPy would still write
the EWKB. Both together take as long as this module, 0.2 s for 500,000 boxes
(`tools/compare_pgpq.py`). pgpq has one maintainer and no wheel for Linux on ARM, and had no release
from October 2023 to January 2026.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

COLUMNS = ("run", "class", "score", "tile", "cell", "area_m2", "length_m", "geom")
"""Columns of `swath.detection_rows` that a load writes."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
SRID = 4326

_SRID_FLAG = 0x20000000
_WKB_HEADER_BYTES = 5  # byte order (uint8) and type (uint32)
_EWKB_HEADER_BYTES = 9  # the same, then the SRID (uint32)
_TYPES = {
    "id": ">i8",
    "run": ">i4",
    "class": ">i2",
    "score": ">f4",
    "tile": ">i8",
    "cell": ">i8",
    "area_m2": ">f4",
    "length_m": ">f4",
    "level": ">i2",
    **{f"n{number}": ">i4" for number in range(10)},
}

Bytes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]


def copy_rows(columns: dict[str, Any], wkb: Bytes, lengths: Lengths) -> Bytes:
    """Encode detections as COPY rows, without the stream's header and trailer.

    Args:
        columns: Numbers of each detection by the name of their column, in the order of the COPY
            statement; each an array of shape (n,), or one number for all.
        wkb: Geometries one after the other, in EPSG:4326, as little-endian WKB without Z, M or
            SRID, uint8. The column of geometries is the last one of the statement.
        lengths: Number of bytes of each geometry, shape (n,).

    Returns:
        The bytes of the rows, uint8.

    Raises:
        ValueError: A geometry is not such WKB.
    """
    headers = _read_headers(wkb, lengths)
    rows = np.empty(len(lengths), _row_type(columns))
    rows["fields"] = len(columns) + 1
    for name, values in columns.items():
        rows[f"{name}_length"], rows[name] = rows.dtype[name].itemsize, values
    rows["geom_length"] = lengths + (_EWKB_HEADER_BYTES - _WKB_HEADER_BYTES)
    rows["order"], rows["type"], rows["srid"] = 1, headers["type"] | _SRID_FLAG, SRID
    return _interleave(rows, wkb, lengths)


def copy_numbers(columns: dict[str, Any]) -> Bytes:
    """Encode rows of numbers as COPY rows, without the stream's header and trailer.

    Args:
        columns: Numbers by the name of their column, in the order of the COPY statement; each an
            array of shape (n,), or one number for all.

    Returns:
        The bytes of the rows, uint8.
    """
    fields = [(f"{name}_length", ">i4", name, _TYPES[name]) for name in columns]
    kind = np.dtype([("fields", ">i2"), *(pair for f in fields for pair in (f[:2], f[2:]))])
    rows = np.empty(np.broadcast(*columns.values()).size, kind)
    rows["fields"] = len(columns)
    for name, values in columns.items():
        rows[f"{name}_length"], rows[name] = kind[name].itemsize, values
    return rows.view(np.uint8)


def _row_type(columns: dict[str, Any]) -> np.dtype[np.void]:
    """Return a row up to the header of its geometry; each field's length precedes it."""
    fields = [(f"{name}_length", ">i4", name, _TYPES[name]) for name in columns]
    return np.dtype(
        [
            ("fields", ">i2"),
            *(pair for field in fields for pair in (field[:2], field[2:])),
            *[("geom_length", ">i4"), ("order", "u1"), ("type", "<u4"), ("srid", "<u4")],
        ]
    )


def _interleave(rows: npt.NDArray[np.void], wkb: Bytes, lengths: Lengths) -> Bytes:
    """Return each row, followed by its geometry without the header.

    Geometries of one size are columns of an array. For others, a mask labels each byte of the
    result with its source, and a masked assignment copies each source in sequence.
    """
    fixed, size = rows.dtype.itemsize, lengths[0] if len(lengths) else 0
    if (lengths == size).all():
        result = np.empty((len(rows), fixed + max(size - _WKB_HEADER_BYTES, 0)), np.uint8)
        result[:, :fixed] = rows.view(np.uint8).reshape(-1, fixed)
        result[:, fixed:] = wkb.reshape(len(rows), size)[:, _WKB_HEADER_BYTES:]
        return result.ravel()
    is_geometry = _is_second(fixed, lengths - _WKB_HEADER_BYTES)
    mixed = np.empty(len(is_geometry), np.uint8)
    mixed[~is_geometry] = rows.view(np.uint8)
    mixed[is_geometry] = wkb[_is_second(_WKB_HEADER_BYTES, lengths - _WKB_HEADER_BYTES)]
    return mixed


def _is_second(first: int, second: Lengths) -> npt.NDArray[np.bool_]:
    """Label bytes that alternate between a fixed and a variable number: True = variable."""
    counts = np.column_stack([np.full_like(second, first), second]).ravel()
    return np.repeat(np.tile([False, True], len(second)), counts)


def _read_headers(wkb: Bytes, lengths: Lengths) -> Any:
    """Return the byte order and type of each geometry.

    Raises:
        ValueError: A geometry is not little-endian, two-dimensional WKB.
    """
    if (lengths < _WKB_HEADER_BYTES).any():
        raise ValueError("a geometry is shorter than the shortest WKB")
    starts = np.cumsum(lengths) - lengths
    headers = wkb[starts[:, None] + np.arange(_WKB_HEADER_BYTES)].view(
        [("order", "u1"), ("type", "<u4")]
    )
    headers = headers[:, 0]
    if (headers["order"] != 1).any() or (headers["type"] > 7).any():  # noqa: PLR2004 - 7: collection
        raise ValueError("a geometry is not little-endian, two-dimensional WKB without an SRID")
    return headers
