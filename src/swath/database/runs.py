"""Write the table `swath.runs`, which has one row for each run that ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from swath.database.connect import Connection
from swath.messages import UNKNOWN_ACQUISITION, MergeSummary, RunRequest
from swath.messages.versions import SceneVersion
from swath.observability.version import __version__

# A run keeps the latest of its drops, regardless of which of its executions ends last.
_LATEST = ("scene_dropped_at", "scene_sequencer", "requested_at")
# What a run knows about its scene stays if the run fails afterwards.
_ACQUISITION = (
    *("acquired_at", "platform", "gsd", "cloud_cover", "sun_azimuth", "sun_elevation"),
    *("view_off_nadir", "view_azimuth", "view_incidence"),
)
_KEPT = (*_ACQUISITION, "footprint", "valid_area_m2")


def build_run_row(
    request: RunRequest,
    *,
    status: str,
    ended_at: datetime,
    backend: str | None = None,
    error: str | None = None,
    cause: str | None = None,
    merge: MergeSummary | None = None,
    footprint: bytes | None = None,
) -> dict[str, Any]:
    """Return a run's row as a mapping from column to value.

    Args:
        request: Request of the run.
        status: Status of the run.
        ended_at: Time at which the run ended.
        backend: Name of the backend that ran the shards.
        error: Name of the error of a failed run.
        cause: Cause of the failure in one line.
        merge: Summary of the merge; None if the run failed.
        footprint: Outline of the scene's valid pixels as GeoJSON; None if unknown.
    """
    tiles = merge and merge.tiles
    acquisition = merge.acquisition if merge else UNKNOWN_ACQUISITION
    version = SceneVersion.from_request(request)
    return {
        "run_id": request.run_id,
        "scene_uri": request.scene.uri,
        "scene_id": request.scene.identity,
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
        "detections": merge and merge.detections,
        "warnings": merge.warnings if merge else [],
        "ended_at": ended_at,
        **{name: getattr(acquisition, name) for name in _ACQUISITION},
        "footprint": footprint and footprint.decode(),
        "valid_area_m2": merge and merge.valid_area_m2,
        "software": __version__,
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
        values=sql.SQL(", ").join(map(_value, row)),
        new=sql.SQL(", ").join(map(_new_value, row)),
        overwrite_if=overwrite_if or sql.SQL("true"),
    )
    return connection.execute(insert, row).rowcount == 1


def _value(column: str) -> sql.Composable:
    """Return the SQL expression for a column's value in the new row."""
    value = sql.Placeholder(column)
    if column == "footprint":
        return sql.SQL("ST_SetSRID(ST_GeomFromGeoJSON({}), 4326)").format(value)
    return value


def _new_value(column: str) -> sql.Composed:
    """Return the SQL expression for a column's new value when a row is overwritten."""
    template = "excluded.{0}"
    if column in _LATEST:
        template = "greatest(runs.{0}, excluded.{0})"
    elif column in _KEPT:
        template = "coalesce(excluded.{0}, runs.{0})"
    return sql.SQL(template).format(sql.Identifier(column))
