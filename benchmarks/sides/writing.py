"""Write detections as GeoParquet, and as plain arrays, which measure the disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.meter import Meter, Sample
from benchmarks.sides.boxes import load_boxes, make_grid
from benchmarks.virtual import VirtualScene
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene

_CLASS_NAMES = ("car", "ship", "house", "tree")
_CHUNK_ROWS = 65536


def geoparquet(count: int) -> Sample:
    """Write a run's file: polygons in longitude and latitude, bounds and all other columns.

    `placing` is the time of the projection to longitude and latitude, in s; `wall` excludes it.
    """
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        georeferencer = _make_georeferencer(Path(folder), count)
        detections = load_boxes(count)
        started = time.perf_counter()
        polygons = georeferencer.to_polygons(detections.box)
        projection_seconds = time.perf_counter() - started
        path = Path(folder, "detections.parquet")
        outline = shapely.box(0, 0, 1, 1)
        constants: dict[str, Any] = {
            "run_id": "run",
            "scene": "s3://scenes/scene.tif",
            "model": "model",
            "facts": SceneFacts(footprint=outline, valid_footprint=outline),
        }
        with Meter() as meter, GeoParquetWriter(path, classes=_CLASS_NAMES, **constants) as out:
            for start in range(0, count, _CHUNK_ROWS):
                rows = slice(start, start + _CHUNK_ROWS)
                out.write(detections.take(rows), polygons.take(rows))
        megabytes = path.stat().st_size / 1e6
    return meter.sample(rows=out.count, megabytes=megabytes, placing=projection_seconds)


def npy(count: int) -> Sample:
    """Save each column as an array: corners, bounds, boxes in px, score, class and tile."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        detections = load_boxes(count)
        polygons = _make_georeferencer(Path(folder), count).to_polygons(detections.box).to_shapely()
        columns = {
            "geometry": shapely.get_coordinates(polygons),
            "bbox": shapely.bounds(polygons),
            "box": detections.box,
            "score": detections.score,
            "class": detections.label,
            "tile": detections.tile,
        }
        with Meter() as meter:
            for name, column in columns.items():
                np.save(Path(folder, f"{name}.npy"), column)
        written = sum(file.stat().st_size for file in Path(folder).glob("*.npy"))
    return meter.sample(rows=count, megabytes=written / 1e6)


def _make_georeferencer(folder: Path, count: int) -> Georeferencer:
    """Return the georeference of a scene that is large enough for the boxes."""
    side = make_grid(count).width
    path = VirtualScene(side, side).write(folder / "scene.tif")
    with open_scene(str(path)) as scene:
        return Georeferencer.from_info(scene.info)
