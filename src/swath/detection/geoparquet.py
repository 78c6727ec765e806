"""Write detections as GeoParquet 1.1, for any program that reads it.

https://geoparquet.org/releases/v1.1.0/

Rings of four corners become WKB in one array of fixed records, without an object for each ring.
Columns of numbers are split into streams of bytes before compression. WKB is stored uncompressed:
no codec that is as fast as a disk reduces it much.

The writer is swath's own, since geopandas holds a whole table and an object for each row. A million
rows take 4.4 times as long as `numpy.save` of their columns (`make bench ARGS=geoparquet`).
"""

from __future__ import annotations

import json
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from swath import storage
from swath.detection.detections import Detections
from swath.detection.parquet import MAX_ROW_GROUP_VERTICES
from swath.raster.polygons import PolygonArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swath.detection.scene_facts import SceneFacts

ROW_GROUP_ROWS = 65536
MEDIA_TYPE = "application/vnd.apache.parquet"
CLASSES_KEY = "swath:classes"
"""Key of the file's metadata: number of detections of each class, in label order, as JSON."""
_FOOTER_END_BYTES = 8
"""Bytes at the end of a Parquet file: the footer's length, little-endian, and `PAR1`."""
_FIRST_READ_BYTES = 64 * 1024
"""Bytes that are read first; a larger footer is read by a second request."""
_BBOX = ("xmin", "ymin", "xmax", "ymax")
_PIXELS = ("x_min", "y_min", "x_max", "y_max")
_CONSTANTS = ("run_id", "scene", "model")
_TIME = "acquired_at"
_TEXT = pa.dictionary(pa.int32(), pa.string())
_COVERING = [pa.field(name, pa.float64(), nullable=False) for name in _BBOX]
_SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in [
            ("class", _TEXT),
            ("score", pa.float32()),
            ("geometry", pa.binary()),
            ("bbox", pa.struct(_COVERING)),
            *((name, pa.float64()) for name in _PIXELS),
            ("tile", pa.int64()),
            ("run_id", _TEXT),
            ("scene", _TEXT),
            ("model", _TEXT),
        ]
    ]
    + [pa.field(_TIME, pa.timestamp("us", "UTC"))]
)
_POSITIONS = [*(f"bbox.{name}" for name in _BBOX), *_PIXELS]
_STATISTICS_COLUMNS = [*_POSITIONS, "class", "score", "tile", _TIME]
_WRITER_OPTIONS: dict[str, Any] = {
    "use_dictionary": ["class", *_CONSTANTS, _TIME],
    "use_byte_stream_split": _POSITIONS,
    "compression": {
        "geometry": "none",
        **dict.fromkeys([*_STATISTICS_COLUMNS, *_CONSTANTS], "snappy"),
    },
    # The least and the greatest WKB are meaningless, so they are not written.
    "write_statistics": _STATISTICS_COLUMNS,
    "write_batch_size": ROW_GROUP_ROWS,
}
_RING_WKB_HEADER = np.frombuffer(struct.pack("<BIII", 1, 3, 1, 5), np.uint8)
"""Start of the WKB, little-endian, of a polygon with one ring of five positions."""


class GeoParquetWriter:
    """Writes detections in the order given, in row groups of a size set by the detections alone.

    One row group is encoded while the next is prepared.
    """

    def __init__(
        self,
        path: Path | pa.NativeFile,
        *,
        classes: Sequence[str],
        run_id: str,
        scene: str,
        model: str,
        facts: SceneFacts,
        on_earth: bool = True,
    ) -> None:
        """Begin a file.

        Args:
            path: File or stream to write to.
            classes: Names of the model's classes, in label order.
            run_id: Identifier of the run, the same in all rows.
            scene: URI of the scene.
            model: Name of the model.
            facts: Location and acquisition of the scene.
            on_earth: Whether positions are longitude and latitude. If not, they are px of a scene
                without a position on Earth.
        """
        self._on_earth = on_earth
        self._facts = facts
        self._classes = pa.array(classes, pa.string())
        self._constants = (run_id, scene, model)
        self._writer = pq.ParquetWriter(path, _SCHEMA, **_WRITER_OPTIONS)
        self._encoder = ThreadPoolExecutor(1)
        self._encoding: Future[None] | None = None
        self._pending: list[tuple[Detections, PolygonArray]] = []
        self._rows = self._vertices = 0
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._types: set[int] = set()
        self._by_class = np.zeros(len(classes), np.int64)
        self.count = 0
        self.without_position_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
                self._writer.add_key_value_metadata(
                    {
                        "geo": json.dumps(self._metadata()),
                        CLASSES_KEY: json.dumps(self._counts()),
                        **self._facts.file_metadata,
                    }
                )
        finally:
            self._encoder.shutdown()
            self._writer.close()

    def write(self, rows: Detections, positions: PolygonArray) -> None:
        """Add detections; those without a position on Earth are counted but not written.

        Detections off the disc of a weather satellite have no position.

        Args:
            rows: Detections, n of them.
            positions: Position of each detection.
        """
        is_valid = positions.is_valid
        self.without_position_count += len(is_valid) - int(is_valid.sum())
        if not is_valid.all():
            rows, positions = rows.take(is_valid), positions.take(is_valid)
        vertices = np.cumsum(positions.coordinate_counts)
        start = 0
        while start < len(rows):
            before = vertices[start - 1] if start else 0
            capacity = (
                np.searchsorted(vertices, before + MAX_ROW_GROUP_VERTICES - self._vertices) + 1
            )
            stop = int(min(capacity, start + ROW_GROUP_ROWS - self._rows, len(rows)))
            part = slice(start, stop)
            self._pending.append((rows.take(part), positions.take(part)))
            self._rows += stop - start
            self._vertices += int(vertices[stop - 1] - before)
            if self._rows == ROW_GROUP_ROWS or self._vertices >= MAX_ROW_GROUP_VERTICES:
                self._flush()
            start = stop

    def _flush(self) -> None:
        if self._rows:
            parts, others = zip(*self._pending, strict=True)
            table = self._table(Detections.concatenate(parts), PolygonArray.concatenate(others))
            self._wait()
            self._encoding = self._encoder.submit(self._writer.write_table, table)
        self._pending, self._rows, self._vertices = [], 0, 0

    def _wait(self) -> None:
        """Wait until the previous row group is written, and raise its error if there was one."""
        if self._encoding:
            self._encoding.result()
            self._encoding = None

    def _table(self, rows: Detections, positions: PolygonArray) -> pa.Table:
        bounds = positions.bounds()
        self._by_class += np.bincount(rows.label, minlength=len(self._by_class))
        self._update_metadata(positions, bounds)
        return pa.table(
            [
                pa.DictionaryArray.from_arrays(rows.label.astype(np.int32), self._classes),
                rows.score,
                _wkb(positions),
                pa.StructArray.from_arrays([pa.array(edge) for edge in bounds], fields=_COVERING),
                *np.ascontiguousarray(rows.box.T),
                rows.tile,
                *(_constant_column(text, len(rows)) for text in self._constants),
                pa.repeat(pa.scalar(self._facts.acquired_at, _SCHEMA.field(_TIME).type), len(rows)),
            ],
            schema=_SCHEMA,
        )

    def _update_metadata(self, positions: PolygonArray, bounds: NDArray[np.float64]) -> None:
        """Collect what the file's metadata contains about all rows."""
        self._bounds[:2] = np.minimum(self._bounds[:2], bounds[:2].min(axis=1))
        self._bounds[2:] = np.maximum(self._bounds[2:], bounds[2:].max(axis=1))
        if positions.is_quad.any():
            self._types.add(shapely.GeometryType.POLYGON)
        if positions.geometries is not None:
            self._types.update(
                shapely.get_type_id(positions.geometries[~positions.is_quad]).tolist()
            )
        self.count += len(positions)

    def _metadata(self) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(_TYPE_NAMES[number] for number in self._types),
            # Without "crs" it is OGC:CRS84: longitude and latitude on WGS 84.
            "covering": {"bbox": {name: ["bbox", name] for name in _BBOX}},
        }
        if not self._on_earth:
            column["crs"] = None
        if self.count:
            column["bbox"] = [float(value) for value in self._bounds]
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}

    def _counts(self) -> dict[str, int]:
        return dict(zip(self._classes.to_pylist(), self._by_class.tolist(), strict=True))


def read_footer(uri: str) -> pq.FileMetaData:
    """Read the metadata at the end of a file, and none of its rows.

    Args:
        uri: S3 URI or local path.

    Raises:
        FileNotFoundError: There is no such file.
    """
    end = storage.read_end(uri, _FIRST_READ_BYTES)
    length = int.from_bytes(end[-_FOOTER_END_BYTES:][:4], "little") + _FOOTER_END_BYTES
    if length > len(end):
        end = storage.read_end(uri, length)
    return pq.read_metadata(pa.BufferReader(end))


def read_classes(footer: pq.FileMetaData) -> dict[str, int]:
    """Return the number of detections of each class, in the model's order of classes."""
    counts: dict[str, int] = json.loads(footer.metadata[CLASSES_KEY.encode()])
    return counts


_TYPE_NAMES = {
    shapely.GeometryType.POLYGON: "Polygon",
    shapely.GeometryType.MULTIPOLYGON: "MultiPolygon",
}


def _wkb(positions: PolygonArray) -> pa.Array:
    """Return the position of each detection as WKB, little-endian."""
    if positions.geometries is None:
        return _rings_as_wkb(positions.quads)
    is_quad = positions.is_quad
    others = pa.array(shapely.to_wkb(positions.geometries[~is_quad], byte_order=1), pa.binary())
    both = pa.concat_arrays([_rings_as_wkb(positions.quads[is_quad]), others])
    # Where each row is in `both`: the inverse of a stable sort by `is_quad`.
    return both.take(pa.array(np.argsort(np.argsort(~is_quad, kind="stable"))))


def _rings_as_wkb(ring: NDArray[np.float64]) -> pa.Array:
    positions = np.ascontiguousarray(ring, "<f8").reshape(len(ring), 10).view(np.uint8)
    size = len(_RING_WKB_HEADER) + positions.shape[1]
    # Arrow reuses its memory; NumPy would ask the system for new pages each time.
    content = pa.allocate_buffer(len(ring) * size)
    records = np.frombuffer(content, np.uint8).reshape(len(ring), size)
    records[:, : len(_RING_WKB_HEADER)], records[:, len(_RING_WKB_HEADER) :] = (
        _RING_WKB_HEADER,
        positions,
    )
    ends = pa.py_buffer(np.arange(len(ring) + 1, dtype=np.int32) * size)
    return pa.Array.from_buffers(pa.binary(), len(ring), [None, ends, content])


def _constant_column(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [text])
