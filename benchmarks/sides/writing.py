"""Write detections as GeoParquet, by swath and by pyarrow alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import shapely

from benchmarks.meter import Meter, Sample
from benchmarks.sides.boxes import load_boxes, make_grid
from benchmarks.virtual import VirtualScene
from swath.detection.detections import Detections
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts
from swath.raster.georeference import Georeferencer
from swath.raster.polygons import PolygonArray
from swath.raster.scene import open_scene

_CLASS_NAMES = ("car", "ship", "house", "tree")
_CHUNK_ROWS = 65536


def geoparquet(count: int) -> Sample:
    """Write a run's file from detections and polygons: WKB and bounds, sorted along the curve."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        path = Path(folder, "detections.parquet")
        rows = _make_rows(Path(folder), count)
        # The first table of a process imports pandas, if it is installed.
        _write(path, rows[0].take(slice(1)), rows[1].take(slice(1)))
        with Meter() as meter:
            _write(path, *rows)
        megabytes = path.stat().st_size / 1e6
    return meter.sample(rows=count, megabytes=megabytes)


def pyarrow(count: int) -> Sample:
    """Write the Arrow table of the same file by pyarrow alone, with its default options."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        path = Path(folder, "detections.parquet")
        _write(path, *_make_rows(Path(folder), count))
        table = pq.read_table(path)
        with Meter() as meter:
            pq.write_table(table, path)
        megabytes = path.stat().st_size / 1e6
    return meter.sample(rows=table.num_rows, megabytes=megabytes)


def _make_rows(folder: Path, count: int) -> tuple[Detections, PolygonArray]:
    """Return detections and their positions in longitude and latitude."""
    detections = load_boxes(count)
    return detections, _make_georeferencer(folder, count).to_polygons(detections.box)


def _write(path: Path, detections: Detections, polygons: PolygonArray) -> None:
    outline = shapely.box(0, 0, 1, 1)
    constants: dict[str, Any] = {
        "run_id": "run",
        "scene": "s3://scenes/scene.tif",
        "model": "model",
        "facts": SceneFacts(footprint=outline, valid_footprint=outline),
    }
    with GeoParquetWriter(path, classes=_CLASS_NAMES, **constants) as out:
        for start in range(0, len(detections), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            out.write(detections.take(rows), polygons.take(rows))


def _make_georeferencer(folder: Path, count: int) -> Georeferencer:
    """Return the georeference of a scene that is large enough for the boxes."""
    side = make_grid(count).width
    path = VirtualScene(side, side).write(folder / "scene.tif")
    with open_scene(str(path)) as scene:
        return Georeferencer.from_info(scene.info)
