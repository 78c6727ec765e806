"""Load a run's detections in one transaction, and replace the scene's earlier detections.

`swath.messages.versions` defines which of two runs of a scene is the later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from swath import storage
from swath.database import copy_rows
from swath.database.connect import Connection, transient_errors
from swath.database.runs import build_run_row, write_run
from swath.errors import RunIncompleteError
from swath.messages import LoadSummary, MergeSummary, RunRequest
from swath.messages.versions import SceneVersion

# A batch of boxes has some 7 MB: large enough for NumPy to be fast, small for any Lambda function.
_BATCH_ROWS = 50_000
_COLUMNS = ("class", "score", "tile", "geometry")


def load_run(
    connection: Connection,
    request: RunRequest,
    merge: MergeSummary,
    *,
    backend: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> LoadSummary:
    """Load a run's detections, and remove those of earlier runs of the same scene and model.

    Loading a run again gives the same rows. Runs of one scene and model are loaded one after the
    other. If a later run is loaded already, it stays, and this run is only recorded.

    Args:
        connection: Connection that is not in a transaction. The function commits, or rolls back on
            an error.
        request: Request of the run.
        merge: Summary of the run's merge.
        backend: Name of the backend that ran the shards.
        check: Function called once no other run of the scene and model is being loaded. If it
            raises, nothing changes.

    Returns:
        The number of loaded rows, and whether a later run superseded this one.

    Raises:
        RunIncompleteError: The file is not the one that the merge wrote, or its number of
            detections differs from the merge's count.
        TransientError: The connection was lost, and nothing has changed.
    """
    row = build_run_row(
        request,
        status="succeeded",
        ended_at=datetime.now(UTC),
        backend=backend,
        tiles=merge.tiles,
        detections=merge.detections,
        warnings=merge.warnings,
    )
    storage.require_etag(merge.uri, merge.etag)
    with (
        storage.reading(merge.uri) as path,
        _open_parquet(path, merge.uri) as file,
        transient_errors(f"loading run {request.run_id}"),
        connection.transaction(),
    ):
        _lock(connection, request)
        check()
        if _is_superseded(connection, request):
            _delete_detections(connection, [request.run_id])
            write_run(connection, {**row, "status": "superseded"})
            return LoadSummary(rows=0, superseded=True)
        _delete_detections(connection, [request.run_id, *_replace_earlier(connection, request)])
        write_run(connection, row)
        loaded = _copy_detections(connection, request.run_id, file)
        if loaded != merge.detections:
            raise RunIncompleteError(
                f"{merge.uri} holds {loaded} detections, but the merge counted {merge.detections}"
            )
    return LoadSummary(rows=loaded, superseded=False)


def _lock(connection: Connection, request: RunRequest) -> None:
    """Wait for other loads of the scene and model, and lock them out until the transaction ends."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        [f"{request.scene.uri}\n{request.model.name}"],
    )


def _is_superseded(connection: Connection, request: RunRequest) -> bool:
    """Return whether a later run of the same scene and model is loaded."""
    rows = connection.execute(
        "SELECT run_id::text, status, scene_sequencer, scene_dropped_at, requested_at"
        " FROM swath.runs WHERE scene_uri = %s AND model = %s",
        [request.scene.uri, request.model.name],
    ).fetchall()
    mine, loaded = SceneVersion.from_request(request), list[SceneVersion]()
    for run_id, status, sequencer, dropped_at, requested_at in rows:
        version = SceneVersion(
            sequencer=sequencer, dropped_at=dropped_at, requested_at=requested_at or dropped_at
        )
        if run_id == request.run_id:
            mine = mine.merge_with(version)
        elif status == "succeeded":
            loaded.append(version)
    return any(version.is_later_than(mine) for version in loaded)


def _replace_earlier(connection: Connection, request: RunRequest) -> list[str]:
    """Mark other loaded runs of the scene and model as replaced; return their ids."""
    replaced = connection.execute(
        "UPDATE swath.runs SET status = 'replaced' WHERE scene_uri = %s AND model = %s"
        " AND run_id <> %s AND status = 'succeeded' RETURNING run_id",
        [request.scene.uri, request.model.name, request.run_id],
    )
    return [str(run_id) for (run_id,) in replaced]


def _delete_detections(connection: Connection, run_ids: list[str]) -> None:
    connection.execute("DELETE FROM swath.detections WHERE run_id = ANY (%s::uuid[])", [run_ids])


def _copy_detections(connection: Connection, run_id: str, file: pq.ParquetFile) -> int:
    """Stream the file's detections into the table; return their number."""
    statement = sql.SQL("COPY swath.detections ({}) FROM STDIN (FORMAT binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, copy_rows.COLUMNS))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(copy_rows.HEADER)
            for batch in _batches(file):
                rows = copy_rows.copy_rows(run_id, *(batch.column(name) for name in _COLUMNS))
                copy.write(rows.data)
            copy.write(copy_rows.TRAILER)
        return cursor.rowcount


def _open_parquet(path: Path, uri: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise RunIncompleteError(f"{uri} is not a Parquet file: {error}") from None


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches, with one row group in memory at a time."""
    for group in range(file.num_row_groups):
        # A single call for all row groups would keep all of them in memory until the last is read.
        yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(_COLUMNS))
