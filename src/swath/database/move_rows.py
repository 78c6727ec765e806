"""Move the rows of earlier releases to the table of this release, in batches.

Migration 0005 only renames the old table, so that it holds its locks for a moment. The view
`swath.detections` shows the rows of both tables. This module then moves the rows. A batch is one
transaction, so a reader has each row once, and a process that is killed leaves complete batches.
What is left is what is in the old table: there is no other record of the progress.

Loads and deletions go on meanwhile, of this release and of the previous one. They delete from the
old table first: if a batch is moving the rows, they wait for it, and then delete them from the new
table.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import psycopg
from psycopg import sql

from swath.database.classes import number_classes
from swath.database.connect import Connection, transient_errors
from swath.database.copy_rows import COLUMNS, HEADER, TRAILER, copy_rows
from swath.database.measures import measure
from swath.messages import Payload

logger = logging.getLogger(__name__)

# Arbitrary number of the advisory lock: "move" in ASCII.
_LOCK_ID = 0x6D6F7665
_BATCH_ROWS = 20_000
_BATCH_BYTES = 16 << 20
"""Maximum size in bytes of a batch's geometries as they are stored; one row may be larger."""
_MIN_RELEASED_BYTES = 1 << 20
_TABLE_COLUMNS = ("id", *COLUMNS)

_MOVABLE = "FROM swath.detections_0004 AS d WHERE d.id > %(after)s"
_BATCH_END = f"""
SELECT max(id) FROM (
    SELECT id, size, sum(size) OVER (ORDER BY id) AS total FROM (
        SELECT d.id, pg_column_size(d.geom) AS size {_MOVABLE} ORDER BY d.id LIMIT %(rows)s
    ) AS first
) AS sized
WHERE total - size < %(bytes)s
"""  # noqa: S608 - constants
_NAMES = f"SELECT DISTINCT class {_MOVABLE} AND d.id <= %(last)s"
# Each column arrives as the concatenated bytes of its values, which NumPy reads at once. Rows
# without a run or a geometry stay: the view scene_detections does not show them either.
_TAKE = """
WITH taken AS (
    DELETE FROM swath.detections_0004 AS d
    USING swath.runs AS r, swath.classes AS c
    WHERE
        d.id > %(after)s AND d.id <= %(last)s
        AND r.run_id = d.run_id AND c.name = d.class AND NOT ST_IsEmpty(d.geom)
    RETURNING d.id, r.run, c.class, d.score, d.tile, ST_AsBinary(d.geom, 'NDR') AS wkb
)
SELECT
    string_agg(int8send(id), ''),
    string_agg(int4send(run), ''),
    string_agg(int2send(class), ''),
    string_agg(float4send(score), ''),
    string_agg(int8send(tile), ''),
    string_agg(int4send(octet_length(wkb)), ''),
    string_agg(wkb, '')
FROM (SELECT * FROM taken ORDER BY id) AS sorted
"""
_TYPES = (">i8", ">i4", ">i2", ">f4", ">i8", ">i4", "u1")


class MoveProgress(Payload, frozen=True, kw_only=True):
    """Progress of moving rows."""

    moved: int
    """Number of rows that this call moved."""
    remaining: int
    """Number of rows still to be moved, at most; gaps between ids count as rows."""


def move_rows(connection: Connection, *, seconds: float) -> MoveProgress:
    """Move rows that an earlier release loaded, until none is left or the time is over.

    If another process is moving rows, the function moves none.

    Args:
        connection: Connection that is not in a transaction, to a database that is migrated. The
            function commits after each batch.
        seconds: Time in s after which no further batch begins.

    Raises:
        TransientError: The connection was lost. Complete batches stay moved; call again.
    """
    deadline = time.monotonic() + seconds
    moved = after = 0
    with transient_errors("moving rows of an earlier release"), _alone(connection) as is_alone:
        while is_alone and time.monotonic() < deadline:
            last = _batch_end(connection, after)
            if last is None:
                with suppress(psycopg.errors.LockNotAvailable):
                    _release_space(connection)
                break
            try:
                moved += _move_batch(connection, after, last)
            except psycopg.errors.LockNotAvailable:
                # A load is deleting some of these rows. If it had to wait for this batch too, one
                # of the two would fail.
                continue
            after = last
        return MoveProgress(moved=moved, remaining=_count_ids(connection, after))


@contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    """Lock out other movers, if there is none; yield whether this process has the lock."""
    with connection.transaction():
        ((is_alone,),) = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_ID])
    try:
        yield is_alone
    finally:
        if is_alone and not connection.broken:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_ID])


def _batch_end(connection: Connection, after: int) -> int | None:
    """Return the last id of the batch after an id; None if there is no further row."""
    limits = {"after": after, "rows": _BATCH_ROWS, "bytes": _BATCH_BYTES}
    with connection.transaction():
        ((last,),) = connection.execute(_BATCH_END, limits)
    return None if last is None else int(last)


def _move_batch(connection: Connection, after: int, last: int) -> int:
    """Move the rows with ids after one and up to another; return their number."""
    bounds = {"after": after, "last": last}
    with connection.transaction():
        names = [name for (name,) in connection.execute(_NAMES, bounds)]
    number_classes(connection, names)
    with connection.transaction():
        # Less than deadlock_timeout: of a batch and a load, the batch is to fail.
        connection.execute("SET LOCAL lock_timeout = '500ms'")
        with connection.cursor(binary=True) as cursor:
            values = cursor.execute(_TAKE, bounds).fetchone() or ()
        ids, run, number, score, tile, lengths, wkb = (
            np.frombuffer(value or b"", kind) for value, kind in zip(values, _TYPES, strict=True)
        )
        measures = measure(wkb, lengths.astype(np.int64))
        columns = {
            "id": ids,
            "run": run,
            "class": number,
            "score": score,
            "tile": tile,
            "cell": measures.cell,
            "area_m2": measures.area_m2,
            "length_m": measures.length_m,
        }
        statement = sql.SQL("COPY swath.detection_rows ({}) FROM STDIN (FORMAT binary)").format(
            sql.SQL(", ").join(map(sql.Identifier, _TABLE_COLUMNS))
        )
        with connection.cursor().copy(statement) as copy:
            copy.write(HEADER)
            copy.write(copy_rows(columns, wkb, lengths.astype(np.int64)).data)
            copy.write(TRAILER)
    return len(ids)


def _count_ids(connection: Connection, after: int) -> int:
    with connection.transaction():
        ((last,),) = connection.execute("SELECT max(id) FROM swath.detections_0004")
    return max(last - after, 0) if last is not None else 0


def _release_space(connection: Connection) -> None:
    """Return the disk space of the old table, once no transaction can see a row of it."""
    with connection.transaction():
        if _size(connection, "pg_total_relation_size") < _MIN_RELEASED_BYTES:
            return
    connection.autocommit = True
    try:
        connection.execute("VACUUM swath.detections_0004")
    finally:
        connection.autocommit = False
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '500ms'")
        if _size(connection, "pg_relation_size") == 0:
            # The vacuum leaves the files of the indexes as they are.
            connection.execute("REINDEX TABLE swath.detections_0004")


def _size(connection: Connection, function: str) -> int:
    query = sql.SQL("SELECT {}('swath.detections_0004')").format(sql.Identifier(function))
    ((size,),) = connection.execute(query)
    return int(size)
