"""What a run left behind: rows in PostGIS, a GeoParquet file, a summary, a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq

from local_cloud.cloud import LocalCloud
from local_cloud.demo.follow import Ended
from local_cloud.demo.preview import Found, draw_preview
from swath.storage import split_s3


@dataclass(frozen=True, slots=True)
class Landed:
    """What PostGIS has of a run."""

    counts: dict[str, int]
    """Rows by class."""
    sample: tuple[str, float, str] | None
    """Class, score and WKT of the surest detection."""


def read_postgis(dsn: str, run_id: str) -> Landed:
    """Ask the database, as a user would."""
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
    return Landed(dict(counts), sample)


def summarize(ended: Ended, landed: Landed, *, scene: Path) -> dict[str, Any]:
    """The content of `summary.json`."""
    return {
        "run_id": ended.run_id,
        "status": ended.status.lower(),
        "scene": scene.name,
        "model": ended.output["model"]["name"],
        "backend": ended.output["plan"]["backend"],
        "shards": ended.output["plan"]["shards"],
        "tiles": ended.output["merge"]["tiles"],
        "detections": ended.output["merge"]["detections"],
        "rows_in_postgis": landed.counts,
        "seconds": {stage.name: round(stage.seconds or 0, 2) for stage in ended.stages},
    }


def summarize_failure(ended: Ended, *, scene: Path) -> dict[str, Any]:
    """The content of `summary.json` when the run failed."""
    return {
        "run_id": ended.run_id,
        "status": ended.status.lower(),
        "scene": scene.name,
        "error": ended.error,
        "cause": ended.cause,
        "seconds": {stage.name: round(stage.seconds or 0, 2) for stage in ended.stages},
    }


def write_summary(summary: dict[str, Any], folder: Path) -> Path:
    """Write `summary.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "summary.json"
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return path


def fetch_detections(cloud: LocalCloud, ended: Ended, folder: Path) -> Path:
    """Copy the published GeoParquet file to `detections.parquet`."""
    bucket, key = split_s3(ended.output["publish"]["detections_uri"])
    path = folder / "detections.parquet"
    cloud.client("s3").download_file(bucket, key, str(path))
    return path


def draw(scene: Path, detections: Path, target: Path) -> None:
    """Draw the scene with what the GeoParquet file says was found in it."""
    columns = ["class", "x_min", "y_min", "x_max", "y_max"]
    table = pq.read_table(detections, columns=columns)
    boxes = np.stack([table[name].to_numpy() for name in columns[1:]], axis=1)
    labels = np.array(table["class"].to_pylist(), dtype=np.str_)
    draw_preview(str(scene), Found(boxes, labels), target)
