"""Write a GeoParquet file of detections as CSV or COCO, one row group at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import shapely
from botocore.exceptions import BotoCoreError, ClientError

from swath.detection.geoparquet_file import BBOX, GEOMETRY
from swath.errors import InputError, SwathError
from swath.raster.scene import open_scene

_BOX = ("x_min", "y_min", "x_max", "y_max")
_BATCH_ROWS = 8192
_DEGREE_DIGITS = 9


def write_csv(source: Path, target: Path) -> None:
    """Write the columns as text in UTF-8, with the center of each detection and its WKT.

    `longitude` and `latitude` are the center of the bounds. `wkt` is rounded to 1e-9 degrees.
    """
    with pq.ParquetFile(source) as file:
        plain = [
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in file.schema_arrow
            if field.name not in {GEOMETRY, BBOX}
        ]
        places = [("longitude", pa.float64()), ("latitude", pa.float64()), ("wkt", pa.string())]
        schema = pa.schema([*plain, *(pa.field(*place) for place in places)])
        with pyarrow.csv.CSVWriter(target, schema) as out:
            for rows in _batches(file):
                columns = [rows[field.name].cast(field.type) for field in plain]
                out.write_batch(
                    pa.record_batch([*columns, *_centers(rows), _to_wkt(rows)], schema=schema)
                )


def _centers(rows: pa.RecordBatch) -> Iterator[pa.Array]:
    bounds = rows[BBOX]
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        middle = (bounds.field(low).to_numpy() + bounds.field(high).to_numpy()) / 2
        yield pa.array(np.round(middle, _DEGREE_DIGITS))


def _to_wkt(rows: pa.RecordBatch) -> pa.Array:
    shapes = shapely.from_wkb(rows[GEOMETRY].to_numpy(zero_copy_only=False))
    return pa.array(shapely.to_wkt(shapes, rounding_precision=_DEGREE_DIGITS), pa.string())


def require_boxes(schema: pa.Schema) -> None:
    """Check that rows have boxes in px of their scenes, which `write_coco` needs.

    Raises:
        InputError: They have none, as those from the database.
    """
    if _BOX[0] not in schema.names:
        raise InputError(
            "COCO has boxes in px of the scenes, which the database does not store; export the "
            "files of the runs, or choose another format"
        )


def write_coco(source: Path, target: Path, classes: list[str]) -> list[str]:
    """Write boxes in px of their scenes in COCO's format for detection, with scores.

    https://cocodataset.org/#format-data; the order of the members is free in JSON, so the scenes
    follow the annotations.

    Args:
        source: GeoParquet file that satisfies `require_boxes`.
        target: File to write.
        classes: Names of the classes in the order of their ids, which begin at 1.

    Returns:
        Warnings, a sentence each.
    """
    categories = {name: number for number, name in enumerate(classes, 1)}
    scenes: dict[str, int] = {}
    with pq.ParquetFile(source) as file, target.open("w", encoding="utf-8") as out:
        out.write('{"annotations":[')
        lines = (
            json.dumps({"id": number, **annotation}, separators=(",", ":"))
            for number, annotation in enumerate(_annotations(file, scenes, categories), 1)
        )
        for separator, line in zip(chain([""], repeat(",\n")), lines, strict=False):
            out.write(separator + line)
        images = [_describe_scene(number, scene) for scene, number in scenes.items()]
        names = {
            "categories": [{"id": number, "name": name} for name, number in categories.items()]
        }
        out.write(f'],\n"images":{json.dumps(images)},\n{json.dumps(names)[1:]}\n')
    unknown = [image["file_name"] for image in images if "width" not in image]
    if not unknown:
        return []
    count = f"{len(unknown)} of {len(images)} scenes"
    return [f"{count} cannot be read, so the file has no sizes for them; one is {unknown[0]}"]


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):
        # A single call for all row groups would keep all of them in memory until the last is read.
        yield from file.iter_batches(_BATCH_ROWS, row_groups=[group])


def _annotations(
    file: pq.ParquetFile, scenes: dict[str, int], categories: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield COCO's annotations without ids, and number the scenes that are new."""
    names = ("class", "score", "scene", *_BOX)
    for rows in _batches(file):
        columns = (rows[one].to_pylist() for one in names)
        for name, score, scene, x0, y0, x1, y1 in zip(*columns, strict=True):
            yield {
                "image_id": scenes.setdefault(scene, len(scenes) + 1),
                "category_id": categories[name],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
                # The shortest decimals that identify the float32.
                "score": float(str(np.float32(score))),
            }


def _describe_scene(number: int, scene: str) -> dict[str, Any]:
    """Return COCO's description of a scene, with its size if the scene can be read."""
    described: dict[str, Any] = {"id": number, "file_name": scene}
    try:
        with open_scene(scene) as opened:
            described |= {"width": opened.info.width, "height": opened.info.height}
    except (SwathError, OSError, BotoCoreError, ClientError):
        pass
    return described
