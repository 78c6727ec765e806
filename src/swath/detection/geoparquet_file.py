"""Write a GeoParquet 1.1 file from Arrow tables that have the columns `geometry` and `bbox`.

https://geoparquet.org/releases/v1.1.0/

Columns of numbers are split into streams of bytes before compression. WKB is stored uncompressed:
no codec that is as fast as a disk reduces it much. One row group is encoded while the next is
prepared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 16384
"""Maximum number of rows of a row group: 3 MB of boxes, which a query of an area reads whole."""
MAX_ROW_GROUP_BYTES = 64 << 20
"""Number of bytes of WKB from which a row group ends."""
MEDIA_TYPE = "application/vnd.apache.parquet"
GEOMETRY = "geometry"
BBOX = "bbox"
EDGES = ("xmin", "ymin", "xmax", "ymax")
"""Fields of the column `bbox`."""
BBOX_TYPE = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in EDGES])
_TYPE_NAMES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}
"""Names of geometries by their number in WKB."""


class GeoParquetFile:
    """Writes rows in the order given, in row groups of a size set by the rows alone."""

    def __init__(
        self, target: Path | pa.NativeFile, schema: pa.Schema, *, on_earth: bool = True
    ) -> None:
        """Begin a file.

        Args:
            target: File or stream to write to.
            schema: Columns, with `geometry` as little-endian WKB and `bbox` as its bounds.
            on_earth: Whether positions are longitude and latitude.
        """
        self._schema = schema
        self._on_earth = on_earth
        self._writer = pq.ParquetWriter(target, schema, **_writer_options(schema))
        self._encoder = ThreadPoolExecutor(1)
        self._encoding: Future[None] | None = None
        self._pending: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._types: set[int] = set()
        self.count = 0

    def write(self, rows: pa.Table) -> None:
        """Add rows, any number of them, with the columns of the schema."""
        ends = _wkb_ends(rows[GEOMETRY])
        start = 0
        while start < rows.num_rows:
            before = ends[start - 1] if start else 0
            fitting = np.searchsorted(ends, before + MAX_ROW_GROUP_BYTES - self._bytes) + 1
            stop = int(min(fitting, start + ROW_GROUP_ROWS - self._rows, rows.num_rows))
            self._pending.append(rows.slice(start, stop - start))
            self._rows += stop - start
            self._bytes += int(ends[stop - 1] - before)
            if self._rows == ROW_GROUP_ROWS or self._bytes >= MAX_ROW_GROUP_BYTES:
                self._flush()
            start = stop

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write the remaining rows and the footer, with further metadata by key."""
        self._flush()
        self._wait()
        self._writer.add_key_value_metadata({"geo": json.dumps(self._describe()), **metadata})

    def close(self) -> None:
        """Close the file; without `finish`, its rows are incomplete."""
        self._encoder.shutdown()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            rows = pa.concat_tables(self._pending).unify_dictionaries().combine_chunks()
            self._update(rows)
            self._wait()
            self._encoding = self._encoder.submit(self._writer.write_table, rows)
        self._pending, self._rows, self._bytes = [], 0, 0

    def _wait(self) -> None:
        """Wait until the previous row group is written, and raise its error if there was one."""
        if self._encoding:
            self._encoding.result()
            self._encoding = None

    def _update(self, rows: pa.Table) -> None:
        """Collect what the file's metadata contains about all rows."""
        bounds = rows[BBOX].chunk(0)
        edges = [bounds.field(name).to_numpy() for name in EDGES]
        self._bounds[:2] = np.minimum(self._bounds[:2], [edge.min() for edge in edges[:2]])
        self._bounds[2:] = np.maximum(self._bounds[2:], [edge.max() for edge in edges[2:]])
        types = pc.unique(pc.binary_slice(rows[GEOMETRY], 1, 5)).to_pylist()
        self._types.update(int.from_bytes(number, "little") for number in types)
        self.count += rows.num_rows

    def _describe(self) -> dict[str, Any]:
        """Return the metadata `geo` of GeoParquet."""
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(_TYPE_NAMES[number] for number in self._types),
            # Without "crs" it is OGC:CRS84: longitude and latitude on WGS 84.
            "covering": {"bbox": {name: [BBOX, name] for name in EDGES}},
        }
        if not self._on_earth:
            column["crs"] = None
        if self.count:
            column["bbox"] = [float(value) for value in self._bounds]
        return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def _writer_options(schema: pa.Schema) -> dict[str, Any]:
    doubles = [field.name for field in schema if pa.types.is_float64(field.type)]
    texts = [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_timestamp(field.type)
    ]
    positions = [*(f"{BBOX}.{name}" for name in EDGES), *doubles]
    others = [field.name for field in schema if field.name not in {GEOMETRY, BBOX, *doubles}]
    return {
        "use_dictionary": texts,
        "use_byte_stream_split": positions,
        "compression": {GEOMETRY: "none", **dict.fromkeys([*positions, *others], "snappy")},
        # The least and the greatest WKB are meaningless, so they are not written.
        "write_statistics": [*positions, *others],
        "write_batch_size": ROW_GROUP_ROWS,
    }


def _wkb_ends(geometries: pa.ChunkedArray) -> Any:
    """Return the number of bytes of WKB up to and including each row, int64 (n,)."""
    lengths = pc.binary_length(geometries).to_numpy()
    return np.cumsum(lengths, dtype=np.int64)
