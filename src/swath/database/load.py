"""Load a run's detections in one transaction, and replace the scene's earlier detections.

`swath.messages.versions` defines which of two runs of a scene is the later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import Copy, sql

from swath import storage
from swath.database.cell_counts import CellCounts
from swath.database.classes import number_classes
from swath.database.columns import class_names, encode_batches
from swath.database.connect import Connection, transient_errors
from swath.database.copy_rows import COLUMNS, HEADER, TRAILER, Bytes
from swath.database.runs import build_run_row, write_run
from swath.errors import RunIncompleteError
from swath.messages import LoadSummary, MergeSummary, RunRequest
from swath.messages.versions import SceneVersion

_FOOTPRINT_KEYS = (b"swath:valid_footprint", b"swath:footprint")
"""Keys of the GeoParquet file's metadata: outlines as GeoJSON, of the valid pixels or the scene."""


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
    storage.require_etag(merge.uri, merge.etag)
    with (
        storage.reading(merge.uri) as path,
        _open_parquet(path, merge.uri) as file,
        transient_errors(f"loading run {request.run_id}"),
    ):
        classes = number_classes(connection, class_names(file))
        with connection.transaction():
            _lock(connection, request)
            check()
            return _replace_rows(connection, request, merge, backend, file, classes)


def _replace_rows(
    connection: Connection,
    request: RunRequest,
    merge: MergeSummary,
    backend: str | None,
    file: pq.ParquetFile,
    classes: dict[str, int],
) -> LoadSummary:
    row = build_run_row(
        request,
        status="succeeded",
        ended_at=datetime.now(UTC),
        backend=backend,
        merge=merge,
        footprint=_read_footprint(file),
    )
    if _is_superseded(connection, request):
        _delete_detections(connection, [request.run_id])
        write_run(connection, {**row, "status": "superseded"})
        return LoadSummary(rows=0, superseded=True)
    _delete_detections(connection, [request.run_id, *_replace_earlier(connection, request)])
    write_run(connection, {**row, "summarized_at": row["ended_at"]})
    loaded = _copy_detections(connection, request.run_id, file, classes)
    if loaded != merge.detections:
        raise RunIncompleteError(
            f"{merge.uri} holds {loaded} detections, but the merge counted {merge.detections}"
        )
    return LoadSummary(rows=loaded, superseded=False)


def _lock(connection: Connection, request: RunRequest) -> None:
    """Wait for other loads of the scene and model, and lock them out until the transaction ends."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        [f"{request.scene.identity}\n{request.model.name}"],
    )


def _is_superseded(connection: Connection, request: RunRequest) -> bool:
    """Return whether a later run of the same scene and model is loaded."""
    rows = connection.execute(
        "SELECT run_id::text, status, scene_uri, scene_sequencer, scene_dropped_at, requested_at"
        " FROM swath.runs WHERE scene_id = %s AND model = %s",
        [request.scene.identity, request.model.name],
    ).fetchall()
    mine, loaded = SceneVersion.from_request(request), list[SceneVersion]()
    for run_id, status, uri, sequencer, dropped_at, requested_at in rows:
        version = SceneVersion(
            uri=uri,
            sequencer=sequencer,
            dropped_at=dropped_at,
            requested_at=requested_at or dropped_at,
        )
        if run_id == request.run_id:
            mine = mine.merge_with(version)
        elif status == "succeeded":
            loaded.append(version)
    return any(version.is_later_than(mine) for version in loaded)


def _replace_earlier(connection: Connection, request: RunRequest) -> list[str]:
    """Mark other loaded runs of the scene and model as replaced; return their ids."""
    replaced = connection.execute(
        "UPDATE swath.runs SET status = 'replaced' WHERE scene_id = %s AND model = %s"
        " AND run_id <> %s AND status = 'succeeded' RETURNING run_id",
        [request.scene.identity, request.model.name, request.run_id],
    )
    return [str(run_id) for (run_id,) in replaced]


def _delete_detections(connection: Connection, run_ids: list[str]) -> None:
    """Delete detections; the order of the statements matters while old rows are moved.

    The first one waits for a batch in progress, and the second one deletes what the batch moved.
    """
    connection.execute(
        "DELETE FROM swath.detections_0004 WHERE run_id = ANY (%s::uuid[])", [run_ids]
    )
    connection.execute(
        "DELETE FROM swath.detection_rows WHERE run = ANY"
        " (ARRAY(SELECT run FROM swath.runs WHERE run_id = ANY (%s::uuid[])))",
        [run_ids],
    )


def _copy_detections(
    connection: Connection, run_id: str, file: pq.ParquetFile, classes: dict[str, int]
) -> int:
    """Stream the file's detections and their counts into the tables; return their number."""
    ((run,),) = connection.execute("SELECT run FROM swath.runs WHERE run_id = %s", [run_id])
    statement = sql.SQL("COPY swath.detection_rows ({}) FROM STDIN (FORMAT binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    counts = CellCounts()
    batches = encode_batches(file, run, classes, counts.add)
    loaded, is_complete = 0, False
    with connection.cursor() as cursor:
        while not is_complete:
            with cursor.copy(statement) as copy:
                copy.write(HEADER)
                is_complete = _copy_until_full(copy, batches, counts)
                copy.write(TRAILER)
            loaded += cursor.rowcount
            counts.write(connection, run)
    return loaded


def _copy_until_full(copy: Copy, batches: Iterator[Bytes], counts: CellCounts) -> bool:
    """Copy batches until there are many counts; return whether all batches are copied."""
    for rows in batches:
        copy.write(rows.data)
        if counts.is_full:
            return False
    return True


def _read_footprint(file: pq.ParquetFile) -> bytes | None:
    metadata = file.schema_arrow.metadata or {}
    return next((metadata[key] for key in _FOOTPRINT_KEYS if key in metadata), None)


def _open_parquet(path: Path, uri: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise RunIncompleteError(f"{uri} is not a Parquet file: {error}") from None
