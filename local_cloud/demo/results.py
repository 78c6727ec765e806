"""Read the results of a run: rows in PostGIS, a GeoParquet file, a summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from local_cloud.cloud import LocalCloud
from local_cloud.run_follower import RunResult
from swath.exports.preview import DrawnDetections, collect_best
from swath.exports.selection import Selection
from swath.exports.sources import read_files
from swath.storage import split_s3

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_POSITIVE_SUFFIX = " (false positive)"
"""Suffix of the label of a false positive; colors are assigned in the order of the labels."""


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


def read_boxes(detections: Path) -> DrawnDetections:
    """Read the boxes and classes from the GeoParquet file."""
    return collect_best(read_files(str(detections), Selection()))


def mark_false_positives(detections: DrawnDetections, hits: NDArray[np.bool_]) -> DrawnDetections:
    """Return the same boxes, with a separate label for those that are not hits.

    Args:
        detections: Detections, n of them.
        hits: Mask (n,), True = detection of a ship that was drawn.
    """
    labels = np.where(
        hits, detections.labels, np.char.add(detections.labels, FALSE_POSITIVE_SUFFIX)
    )
    names, counts = np.unique(labels, return_counts=True)
    return DrawnDetections(
        detections.boxes, labels, dict(zip(names.tolist(), counts.tolist(), strict=True))
    )
