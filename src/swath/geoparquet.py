"""Detections as GeoParquet 1.1, for any program that reads it.

https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from swath.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swath.georeference import Georeferencer

ROW_GROUP = 65536
MEDIA_TYPE = "application/vnd.apache.parquet"
_BBOX = ("xmin", "ymin", "xmax", "ymax")
_PIXELS = ("x_min", "y_min", "x_max", "y_max")
_TEXT = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        ("class", _TEXT),
        ("score", pa.float32()),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(name, pa.float64()) for name in _BBOX])),
        *((name, pa.float64()) for name in _PIXELS),
        ("tile", pa.int64()),
        ("run_id", _TEXT),
        ("scene", _TEXT),
        ("model", _TEXT),
    ]
)


class GeoParquetWriter:
    """Writes detections in the order given, in row groups whose size depends on nothing else.

    What is nowhere on Earth, as in the corners of a geostationary image, has no row.
    """

    def __init__(
        self,
        path: Path,
        *,
        georeferencer: Georeferencer,
        classes: Sequence[str],
        run_id: str,
        scene: str,
        model: str,
    ) -> None:
        self._georeferencer = georeferencer
        self._classes = pa.array(classes, pa.string())
        self._constants = (run_id, scene, model)
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self._waiting = Detections.empty()
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._types: set[str] = set()
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            if len(self._waiting):
                self._write(self._waiting)
            self._writer.add_key_value_metadata({"geo": json.dumps(self._metadata())})
        self._writer.close()

    def write(self, detections: Detections) -> None:
        """Add detections."""
        self._waiting = Detections.concatenate([self._waiting, detections])
        while len(self._waiting) >= ROW_GROUP:
            self._write(self._waiting.take(slice(0, ROW_GROUP)))
            self._waiting = self._waiting.take(slice(ROW_GROUP, None))

    def _write(self, rows: Detections) -> None:
        shapes = self._georeferencer.polygons(rows.box)
        placed = ~shapely.is_missing(shapes)
        rows, shapes = rows.take(placed), shapes[placed]
        if not len(rows):
            return
        bounds = shapely.bounds(shapes)
        self._note(shapes, bounds)
        self._writer.write_table(
            pa.table(
                [
                    pa.DictionaryArray.from_arrays(rows.label.astype(np.int32), self._classes),
                    rows.score,
                    pa.array(shapely.to_wkb(shapes), pa.binary()),
                    pa.StructArray.from_arrays([*bounds.T.copy()], _BBOX),
                    *rows.box.T.copy(),
                    rows.tile,
                    *(_repeated(text, len(rows)) for text in self._constants),
                ],
                schema=_SCHEMA,
            )
        )
        self.count += len(rows)

    def _note(self, shapes: NDArray[np.object_], bounds: NDArray[np.float64]) -> None:
        """Keep what the file's metadata says of all its rows."""
        self._bounds[:2] = np.minimum(self._bounds[:2], bounds[:, :2].min(axis=0))
        self._bounds[2:] = np.maximum(self._bounds[2:], bounds[:, 2:].max(axis=0))
        self._types.update(
            shapely.GeometryType(kind).name for kind in set(shapely.get_type_id(shapes))
        )

    def _metadata(self) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(_TYPE_NAMES[name] for name in self._types),
            # Without "crs" it is OGC:CRS84: longitude and latitude on WGS 84.
            "covering": {"bbox": {name: ["bbox", name] for name in _BBOX}},
        }
        if self.count:
            column["bbox"] = [float(value) for value in self._bounds]
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


_TYPE_NAMES = {"POLYGON": "Polygon", "MULTIPOLYGON": "MultiPolygon"}


def _repeated(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [text])
