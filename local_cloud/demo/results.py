"""Read the results of a run: rows in PostGIS, a GeoParquet file, a summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq

from local_cloud.cloud import LocalCloud
from local_cloud.demo.preview import LabeledBoxes
from local_cloud.run_follower import RunResult
from swath.storage import split_s3


@dataclass(frozen=True, slots=True)
class DatabaseRows:
    """Rows of a run in PostGIS."""

    counts: dict[str, int]
    """Number of rows by class."""
    sample: tuple[str, float, str] | None
    """Class, score and WKT of the detection with the highest score."""


def read_postgis(dsn: str, run_id: str) -> DatabaseRows:
    """Query the database, as a user would."""
    with psycopg.connect(dsn) as connection:
        counts = connection.execute(
            "SELECT class, count(*) FROM swath.detections WHERE run_id = %s"
            " GROUP BY class ORDER BY count(*) DESC, class",
            (run_id,),
        ).fetchall()
        sample = connection.execute(
            "SELECT class, score, ST_AsText(geom, 5) FROM swath.detections WHERE run_id = %s"
            " ORDER BY score DESC, id LIMIT 1",
            (run_id,),
        ).fetchone()
    return DatabaseRows(dict(counts), sample)


def summarize(result: RunResult, scene: str) -> dict[str, Any]:
    """Return the content of `summary.json`, as far as the execution's output provides it."""
    summary: dict[str, Any] = {
        "run_id": result.run_id,
        "status": result.status.lower(),
        "scene": scene,
        "seconds": {stage.name: round(stage.seconds or 0, 2) for stage in result.stages},
    }
    if result.status != "SUCCEEDED":
        return summary | {"error": result.error, "cause": result.cause}
    plan, merge = result.output["plan"], result.output["merge"]
    return summary | {
        "model": result.output["model"]["name"],
        "backend": plan["backend"],
        "shards": plan["shards"],
        "tiles": merge["tiles"],
        "detections": merge["detections"],
        "warnings": merge["warnings"],
    }


def fetch_detections(cloud: LocalCloud, result: RunResult, folder: Path) -> Path:
    """Download the published GeoParquet file as `detections.parquet`."""
    bucket, key = split_s3(result.output["publish"]["detections_uri"])
    path = folder / "detections.parquet"
    cloud.client("s3").download_file(bucket, key, str(path))
    return path


def read_boxes(detections: Path) -> LabeledBoxes:
    """Read the boxes and classes from the GeoParquet file."""
    columns = ["class", "x_min", "y_min", "x_max", "y_max"]
    table = pq.read_table(detections, columns=columns)
    boxes = np.stack([table[name].to_numpy() for name in columns[1:]], axis=1)
    return LabeledBoxes(boxes, np.array(table["class"].to_pylist(), dtype=np.str_))
