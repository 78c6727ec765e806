"""Encode detections as PostgreSQL's binary COPY rows with NumPy, without a Python object per row.

COPY: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format);
EWKB: https://libgeos.org/specifications/wkb/#extended-wkb.

The module does not use pgpq, because pgpq 0.12 supports neither UUIDs nor geometries: NumPy would
still write the EWKB. Both together take as long as this module, 0.3 s for 500,000 boxes
(`tools/compare_pgpq.py`). pgpq has one maintainer and no wheel for Linux on ARM, and had no release
from October 2023 to January 2026.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

COLUMNS = ("run_id", "class", "score", "tile", "geom")
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
SRID = 4326

_SRID_FLAG = 0x20000000
_WKB_HEADER_BYTES = 5  # byte order (uint8) and type (uint32)
_EWKB_HEADER_BYTES = 9  # the same, then the SRID (uint32)

# A row without its two values of variable length. The class follows `_BEFORE_CLASS`, and the rest
# of the geometry follows the last field. Numbers are big-endian; each field's length precedes it.
_BEFORE_CLASS = [
    *[("fields", ">i2"), ("run_id_length", ">i4"), ("run_id", "V16"), ("class_length", ">i4")],
]
_ROW = np.dtype(
    [
        *_BEFORE_CLASS,
        *[("score_length", ">i4"), ("score", ">f4"), ("tile_length", ">i4"), ("tile", ">i8")],
        *[("geom_length", ">i4"), ("order", "u1"), ("type", "<u4"), ("srid", "<u4")],
    ]
)
_CLASS_OFFSET = np.dtype(_BEFORE_CLASS).itemsize

_FIXED, _NAME, _WKB = range(3)

Bytes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]


def copy_rows(
    run_id: str, classes: pa.Array, scores: pa.Array, tiles: pa.Array, geometries: pa.Array
) -> Bytes:
    """Encode detections as COPY rows for `COLUMNS`, without the stream's header and trailer.

    Args:
        run_id: Id of the run, a UUID.
        classes: Class names, strings, shape (n,).
        scores: Scores, float32, shape (n,).
        tiles: Numbers of tiles, int64, shape (n,).
        geometries: Geometries of any type in EPSG:4326, shape (n,), as little-endian WKB without Z,
            M or SRID.

    Returns:
        The bytes of the rows, uint8.

    Raises:
        ValueError: A value is missing, or a geometry is not such WKB.
    """
    for column in (classes, scores, tiles, geometries):
        if column.null_count:
            raise ValueError(f"{column.null_count} of {len(column)} values are missing")
    names, name_lengths = _concatenated_bytes(classes)
    wkb, wkb_lengths = _concatenated_bytes(geometries)
    headers = _read_headers(wkb, wkb_lengths)
    rows = np.empty(len(scores), _ROW)
    rows["fields"] = len(COLUMNS)
    rows["run_id_length"], rows["run_id"] = 16, np.void(uuid.UUID(run_id).bytes)
    rows["class_length"] = name_lengths
    rows["score_length"], rows["score"] = 4, scores.to_numpy(zero_copy_only=False)
    rows["tile_length"], rows["tile"] = 8, tiles.to_numpy(zero_copy_only=False)
    rows["geom_length"] = wkb_lengths + (_EWKB_HEADER_BYTES - _WKB_HEADER_BYTES)
    rows["order"], rows["type"], rows["srid"] = 1, headers["type"] | _SRID_FLAG, SRID
    return _interleave(rows, names, name_lengths, wkb, wkb_lengths)


def _interleave(
    rows: npt.NDArray[np.void],
    names: Bytes,
    name_lengths: Lengths,
    wkb: Bytes,
    wkb_lengths: Lengths,
) -> Bytes:
    """Return the rows with each row's class and geometry inserted.

    Rows, classes and geometries have the same order. So the function only labels each byte of the
    result with its source; a masked assignment then copies each source in sequence.
    """
    remainder_lengths = wkb_lengths - _WKB_HEADER_BYTES
    before, after = (
        np.full_like(remainder_lengths, n) for n in (_CLASS_OFFSET, _ROW.itemsize - _CLASS_OFFSET)
    )
    sources = _repeat_in_turn(
        [_FIXED, _NAME, _FIXED, _WKB], [before, name_lengths, after, remainder_lengths]
    )
    result = np.empty(len(sources), np.uint8)
    result[sources == _FIXED] = rows.view(np.uint8)
    result[sources == _NAME] = names
    is_tail = (
        _repeat_in_turn(
            [_FIXED, _WKB], [np.full_like(remainder_lengths, _WKB_HEADER_BYTES), remainder_lengths]
        )
        == _WKB
    )
    result[sources == _WKB] = wkb[is_tail]
    return result


def _repeat_in_turn(values: list[int], lengths: list[Lengths]) -> Bytes:
    """Return the values in sequence for each row, each repeated by the row's length for it."""
    pattern = np.tile(np.array(values, np.uint8), len(lengths[0]))
    return np.repeat(pattern, np.column_stack(lengths).ravel())


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


def _concatenated_bytes(column: pa.Array) -> tuple[Bytes, Lengths]:
    """Return the concatenated bytes of a column of strings or binaries, and each value's length."""
    values = column.cast(pa.large_binary())
    _, offsets, content = values.buffers()
    ends = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(content, np.uint8)[ends[0] : ends[-1]], np.diff(ends)
