"""Writing detections: as GeoParquet, and as bare arrays, which is what a disk takes."""

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
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene

_CLASSES = ("car", "ship", "house", "tree")
_CHUNK = 65536


def geoparquet(count: int) -> Sample:
    """Write a run's file: polygons in longitude and latitude, bounds and all other columns.

    `placing` is how long it took to find out where on Earth they are, which is not in `wall`.
    """
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        georeferencer = _georeferencer(Path(folder), count)
        detections = load_boxes(count)
        started = time.perf_counter()
        places = georeferencer.to_polygons(detections.box)
        placing = time.perf_counter() - started
        path = Path(folder, "detections.parquet")
        of_all: dict[str, Any] = {
            "run_id": "run",
            "scene": "s3://scenes/scene.tif",
            "model": "model",
            "footprint": shapely.box(0, 0, 1, 1),
        }
        with Meter() as meter, GeoParquetWriter(path, classes=_CLASSES, **of_all) as out:
            for start in range(0, count, _CHUNK):
                part = slice(start, start + _CHUNK)
                out.write(detections.take(part), places.take(part))
        megabytes = path.stat().st_size / 1e6
    return meter.sample(rows=out.count, megabytes=megabytes, placing=placing)


def npy(count: int) -> Sample:
    """Save each column as an array: corners, bounds, boxes in px, score, class and tile."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        detections = load_boxes(count)
        shapes = _georeferencer(Path(folder), count).to_polygons(detections.box).to_shapely()
        columns = {
            "geometry": shapely.get_coordinates(shapes),
            "bbox": shapely.bounds(shapes),
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


def _georeferencer(folder: Path, count: int) -> Georeferencer:
    """Return the georeference of a scene that is large enough for the boxes."""
    side = make_grid(count).width
    path = VirtualScene(side, side).write(folder / "scene.tif")
    with open_scene(str(path)) as scene:
        return Georeferencer.from_info(scene.info)
