"""Write the table `swath.runs`, which has one row for each run that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from swath.database.connect import Connection
from swath.messages import RunRequest, TileCounts
from swath.messages.versions import SceneVersion

# A run keeps the latest of its drops, regardless of which of its executions ends last.
_LATEST = ("scene_dropped_at", "scene_sequencer", "requested_at")


def build_run_row(
    request: RunRequest,
    *,
    status: str,
    ended_at: datetime,
    backend: str | None = None,
    error: str | None = None,
    cause: str | None = None,
    tiles: TileCounts | None = None,
    detections: int | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a run's row as a mapping from column to value.

    Args:
        request: Request of the run.
        status: Status of the run.
        ended_at: Time at which the run ended.
        backend: Name of the backend that ran the shards.
        error: Name of the error of a failed run.
        cause: Cause of the failure in one line.
        tiles: Numbers of tiles by outcome.
        detections: Number of detections.
        warnings: Warnings, one sentence each.
    """
    version = SceneVersion.from_request(request)
    return {
        "run_id": request.run_id,
        "scene_uri": request.scene.uri,
        "scene_etag": request.scene.etag,
        "scene_dropped_at": version.dropped_at,
        "scene_sequencer": version.sequencer,
        "requested_at": version.requested_at,
        "model": request.model.name,
        "model_digest": request.model.digest,
        "options": Jsonb(request.options.to_json()),
        "backend": backend,
        "status": status,
        "error": error,
        "cause": cause,
        "tiles_planned": tiles and tiles.planned,
        "tiles_succeeded": tiles and tiles.succeeded,
        "tiles_failed": tiles and tiles.failed,
        "tiles_skipped": tiles and tiles.skipped,
        "detections": detections,
        "warnings": list(warnings),
        "ended_at": ended_at,
    }


def write_run(
    connection: Connection, row: Mapping[str, Any], *, overwrite_if: sql.SQL | None = None
) -> bool:
    """Insert a run's row, or overwrite the existing one.

    Args:
        connection: Connection in a transaction, which the caller ends.
        row: Row from `build_run_row`.
        overwrite_if: Condition on `runs` (the existing row) and `excluded` (the new row) for
            overwriting; by default the row is always overwritten.

    Returns:
        Whether the row was written.
    """
    columns = [sql.Identifier(name) for name in row]
    insert = sql.SQL(
        "INSERT INTO swath.runs ({columns}) VALUES ({values}) "
        "ON CONFLICT (run_id) DO UPDATE SET ({columns}) = ROW ({new}) WHERE {overwrite_if}"
    ).format(
        columns=sql.SQL(", ").join(columns),
        values=sql.SQL(", ").join(sql.Placeholder(name) for name in row),
        new=sql.SQL(", ").join(map(_new_value, row)),
        overwrite_if=overwrite_if or sql.SQL("true"),
    )
    return connection.execute(insert, row).rowcount == 1


def _new_value(column: str) -> sql.Composed:
    """Return the SQL expression for a column's new value when a row is overwritten."""
    template = "greatest(runs.{0}, excluded.{0})" if column in _LATEST else "excluded.{0}"
    return sql.SQL(template).format(sql.Identifier(column))
