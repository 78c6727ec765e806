# ruff: noqa: INP001 (a script, of no package)
"""Time the encoding of COPY rows by swath and by pgpq, which is not among swath's packages.

    .cache/uv-*/bin/uv run --no-sync --with pgpq python tools/compare_pgpq.py

pgpq does not support geometries: it copies bytes, so that NumPy writes the EWKB before it.
"""

from __future__ import annotations

import sys
import timeit
from typing import Any

import numpy as np
import pgpq
import pyarrow as pa
import shapely

from swath.database.copy_rows import COLUMNS, copy_rows

ROWS = 500_000


def main() -> None:
    """Print the milliseconds that each takes for the same bytes."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(-80, 80, (2, ROWS))
    wkb = pa.array(shapely.to_wkb(shapely.box(*corners, *(corners + 0.001)), byte_order=1))
    columns = {
        "run": np.full(ROWS, 7, np.int32),
        "class": rng.integers(0, 2, ROWS).astype(np.int16),
        "score": rng.uniform(0, 1, ROWS).astype(np.float32),
        "tile": np.arange(ROWS),
        "cell": rng.integers(0, 2**52, ROWS),
        "area_m2": rng.uniform(0, 1e5, ROWS).astype(np.float32),
        "length_m": rng.uniform(0, 1e3, ROWS).astype(np.float32),
    }
    content = np.frombuffer(wkb.buffers()[2], np.uint8)
    lengths = np.full(ROWS, len(content) // ROWS)
    own = copy_rows(columns, content, lengths).tobytes()
    peer = bytes(encode(columns, with_srid(wkb)))
    if own != peer:
        sys.exit("the two differ")
    for name, run in (
        ("swath", lambda: copy_rows(columns, content, lengths)),
        ("pgpq, EWKB included", lambda: encode(columns, with_srid(wkb))),
    ):
        best = min(timeit.repeat(run, number=1, repeat=7))
        sys.stdout.write(f"{name}: {best * 1000:.0f} ms for {ROWS:,} boxes\n")


def encode(columns: Any, geometries: pa.Array) -> bytes:
    """Return the rows as pgpq writes them, without the stream's header."""
    arrays = [pa.array(column) for column in columns.values()]
    batch = pa.RecordBatch.from_arrays([*arrays, geometries], names=COLUMNS)
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
    encoder.write_header()
    return encoder.write_batch(batch)


def with_srid(wkb: pa.Array) -> pa.Array:
    """Return WKB of any lengths as EWKB in EPSG:4326."""
    _, offsets, content = wkb.buffers()
    starts, given = np.frombuffer(offsets, np.int32), np.frombuffer(content, np.uint8)
    types = given[starts[:-1, None] + np.arange(1, 5)].view("<u4")[:, 0]
    head = np.zeros(len(types), [("order", "u1"), ("type", "<u4"), ("srid", "<u4")])
    head["order"], head["type"], head["srid"] = 1, types | 0x20000000, 4326
    after = starts + 4 * np.arange(len(starts), dtype=np.int32)
    result = np.empty(after[-1], np.uint8)
    is_head = np.zeros(len(result), np.bool_)
    is_head[after[:-1, None] + np.arange(9)] = True
    kept = np.ones(len(given), np.bool_)
    kept[starts[:-1, None] + np.arange(5)] = False
    result[is_head], result[~is_head] = head.view(np.uint8), given[kept]
    return pa.Array.from_buffers(
        pa.binary(), len(wkb), [None, pa.py_buffer(after), pa.py_buffer(result)]
    )


if __name__ == "__main__":
    main()
