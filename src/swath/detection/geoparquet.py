"""Write the detections of a run as GeoParquet 1.1, for any program that reads it.

Rings of four corners become WKB in one array of fixed records, without an object for each ring.

The writer is swath's own, since geopandas holds a whole table and an object for each row.
(`make bench ARGS=geoparquet` compares it with pyarrow.)
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from swath import storage
from swath.detection.detections import Detections
from swath.detection.geoparquet_file import (
    BBOX,
    BBOX_TYPE,
    GEOMETRY,
    MEDIA_TYPE,
    GeoParquetFile,
)
from swath.detection.parquet import MAX_ROW_GROUP_VERTICES
from swath.detection.spatial_order import Gather, SpatialSorter, center_cells
from swath.raster.polygons import PolygonArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swath.detection.scene_facts import SceneFacts

__all__ = ["CLASSES_KEY", "MEDIA_TYPE", "SCHEMA", "GeoParquetWriter", "read_classes", "read_footer"]

CLASSES_KEY = "swath:classes"
"""Key of the file's metadata: number of detections of each class, in label order, as JSON."""
_PART_ROWS = 1 << 16
"""Maximum number of rows that are added to the sorter at once."""
_ROW_BYTES, _CORNER_BYTES = 64, 16
"""Approximate size in memory of a detection without its corners, and of a corner."""
_FOOTER_END_BYTES = 8
"""Bytes at the end of a Parquet file: the footer's length, little-endian, and `PAR1`."""
_FIRST_READ_BYTES = 64 * 1024
"""Bytes that are read first; a larger footer is read by a second request."""
_PIXELS = ("x_min", "y_min", "x_max", "y_max")
_CONSTANTS = ("run_id", "scene", "model")
_TIME = "acquired_at"
_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in [
            ("class", _TEXT),
            ("score", pa.float32()),
            (GEOMETRY, pa.binary()),
            (BBOX, BBOX_TYPE),
            *((name, pa.float64()) for name in _PIXELS),
            ("tile", pa.int64()),
            *((name, _TEXT) for name in _CONSTANTS),
        ]
    ]
    + [pa.field(_TIME, pa.timestamp("us", "UTC"))]
)
"""Columns of the file of a run."""
_RING_WKB_HEADER = np.frombuffer(struct.pack("<BIII", 1, 3, 1, 5), np.uint8)
"""Start of the WKB, little-endian, of a polygon with one ring of five positions."""


class GeoParquetWriter:
    """Writes the detections of a run along a space-filling curve.

    The order depends on the detections alone, not on the order in which they are added.
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
                without a position on Earth, and rows are sorted by tile.
        """
        self._on_earth = on_earth
        self._facts = facts
        self._classes = pa.array(classes, pa.string())
        self._constants = (run_id, scene, model)
        self._file = GeoParquetFile(path, SCHEMA, on_earth=on_earth)
        self._sorter = SpatialSorter(self._gather_from)
        self._by_class = np.zeros(len(classes), np.int64)
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
                for rows in self._sorter.read_sorted():
                    self._file.write(rows)
                self._file.finish(
                    {CLASSES_KEY: json.dumps(self._counts()), **self._facts.file_metadata}
                )
        finally:
            self._sorter.__exit__(None, None, None)
            self._file.close()

    @property
    def count(self) -> int:
        """Number of detections that are written."""
        return self._file.count

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
        self._by_class += np.bincount(rows.label, minlength=len(self._by_class))
        vertices = np.cumsum(positions.coordinate_counts)
        start = 0
        while start < len(rows):
            before = vertices[start - 1] if start else 0
            capacity = np.searchsorted(vertices, before + MAX_ROW_GROUP_VERTICES) + 1
            stop = int(min(capacity, start + _PART_ROWS, len(rows)))
            part = rows.take(slice(start, stop)), positions.take(slice(start, stop))
            corners = int(vertices[stop - 1] - before)
            self._sorter.add(
                part,
                self._cells(part[1]),
                tile=part[0].tile,
                score=part[0].score,
                size=_ROW_BYTES * (stop - start) + _CORNER_BYTES * corners,
            )
            start = stop

    def _cells(self, positions: PolygonArray) -> NDArray[np.int64]:
        if self._on_earth:
            return center_cells(positions.bounds())
        return np.zeros(len(positions), np.int64)

    def _gather_from(self, parts: Sequence[tuple[Detections, PolygonArray]]) -> Gather:
        """Return a function that returns the columns of the file for some rows of the parts.

        Neighbors are in few parts. So the parts are not joined, which would copy all rows.
        """
        starts = np.cumsum([0, *(len(rows) for rows, _ in parts[:-1])])

        def gather(order: NDArray[np.int64]) -> pa.Table:
            part = np.searchsorted(starts, order, side="right") - 1
            chosen = [(parts[n], order[part == n] - starts[n]) for n in np.unique(part).tolist()]
            rows = Detections.concatenate([of[0].take(index) for of, index in chosen])
            positions = PolygonArray.concatenate([of[1].take(index) for of, index in chosen])
            # Where each row of `order` is now: the inverse of a stable sort by part.
            back = np.argsort(np.argsort(part, kind="stable"))
            return self._convert(rows.take(back), positions.take(back))

        return gather

    def _convert(self, rows: Detections, positions: PolygonArray) -> pa.Table:
        """Return the columns of the file for some rows."""
        bounds = positions.bounds()
        return pa.table(
            [
                pa.DictionaryArray.from_arrays(rows.label.astype(np.int32), self._classes),
                rows.score,
                _wkb(positions),
                pa.StructArray.from_arrays(
                    [pa.array(edge) for edge in bounds], fields=list(BBOX_TYPE)
                ),
                *np.ascontiguousarray(rows.box.T),
                rows.tile,
                *(_constant_column(text, len(rows)) for text in self._constants),
                pa.repeat(pa.scalar(self._facts.acquired_at, SCHEMA.field(_TIME).type), len(rows)),
            ],
            schema=SCHEMA,
        )

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
