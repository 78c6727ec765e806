"""List detections, runs and scenes, newest acquisition first, page by page.

A page begins after a cursor, so each page costs the same. The index of the runs' times gives the
order; detections are read run by run. Runs whose time is unknown come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from swath.database.connect import Connection, transient_errors
from swath.database.queries.filters import (
    DETECTION_TABLES,
    DetectionFilter,
    box_condition,
    detection_conditions,
    join_conditions,
    run_conditions,
)
from swath.database.queries.records import Cursor, Detection, Page, Run, Scene
from swath.errors import InputError

MAX_PAGE_RECORDS = 10_000
"""Maximum number of records of a page."""
_GEOJSON_DIGITS = 8

_DETECTION_COLUMNS = f"""
    d.id, c.name AS class_name, d.score, d.tile, d.area_m2, d.length_m,
    ST_AsGeoJSON(d.geom, {_GEOJSON_DIGITS}) AS geometry,
    r.run, r.run_id, r.scene_id, r.scene_uri, r.model, r.model_digest, r.acquired_at, r.software
"""
_DETECTIONS = sql.SQL(
    "SELECT"
    + _DETECTION_COLUMNS
    + DETECTION_TABLES
    + "WHERE {conditions} ORDER BY r.acquired_at DESC, r.run DESC, d.id DESC LIMIT {limit}"
)
_DETECTION = sql.SQL("SELECT" + _DETECTION_COLUMNS + DETECTION_TABLES + "WHERE d.id = %(id)s")
_RUN_COLUMNS = ", ".join(
    f"ST_AsGeoJSON(r.footprint, {_GEOJSON_DIGITS}) AS footprint"
    if name == "footprint"
    # Columns of msgspec structs and of the table have the same names.
    else f"r.{name}"
    for name in Run.__struct_fields__
)
_RUNS = sql.SQL(
    f"SELECT {_RUN_COLUMNS} FROM swath.runs AS r WHERE {{conditions}}"  # noqa: S608 - constants
    " ORDER BY r.acquired_at DESC, r.run DESC LIMIT {limit}"
)
_RUN = sql.SQL(
    f"SELECT {_RUN_COLUMNS} FROM swath.runs AS r WHERE r.run_id = %(id)s"  # noqa: S608 - constants
)
# A scene has the position of its newest run.
_SCENES = sql.SQL(
    f"""
SELECT
    r.run, r.scene_id, r.scene_uri, r.acquired_at, r.valid_area_m2, r.platform, r.gsd,
    r.cloud_cover, ST_AsGeoJSON(r.footprint, {_GEOJSON_DIGITS}) AS footprint,
    s.runs, s.detections
FROM swath.runs AS r
CROSS JOIN LATERAL (
    SELECT
        count(*) AS runs,
        coalesce(sum(o.detections), 0)::bigint AS detections
    FROM swath.runs AS o
    WHERE o.scene_id = r.scene_id AND {{others}}
) AS s
WHERE {{conditions}} AND NOT EXISTS (
    SELECT FROM swath.runs AS o
    WHERE
        o.scene_id = r.scene_id AND {{others}}
        AND (coalesce(o.acquired_at, '-infinity'), o.run)
        > (coalesce(r.acquired_at, '-infinity'), r.run)
)
ORDER BY r.acquired_at DESC, r.run DESC LIMIT {{limit}}
"""  # noqa: S608 - constants
)
_FOOTPRINT = sql.Identifier("r", "footprint")

_Record = TypeVar("_Record", Detection, Run, Scene)
_Rows = list[dict[str, Any]]


def list_detections(
    connection: Connection, asked: DetectionFilter, *, after: Cursor | None = None, limit: int = 100
) -> Page[Detection]:
    """List detections; those of the newest acquisition come first.

    Args:
        connection: Connection to the database.
        asked: Filter of the detections. Geometries that touch its box intersect the box.
        after: Cursor after which the page begins; None for the first page.
        limit: Maximum number of detections.

    Raises:
        InputError: `limit` is not between 1 and 10,000.
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    _check_limit(limit)
    values: dict[str, Any] = {}
    with transient_errors("listing detections"), connection.transaction():
        conditions = detection_conditions(connection, asked, values)
        rows = _read_page(connection, _DETECTIONS, conditions, values, after, limit, has_ids=True)
    return _make_page(rows, Detection, limit)


def list_runs(
    connection: Connection, asked: DetectionFilter, *, after: Cursor | None = None, limit: int = 100
) -> Page[Run]:
    """List runs; those of the newest acquisition come first.

    Args:
        connection: Connection to the database.
        asked: Filter of the runs; classes and scores do not matter. Outlines must intersect the
            box. Runs that failed or were replaced are listed only without `active_only`.
        after: Cursor after which the page begins; None for the first page.
        limit: Maximum number of runs.

    Raises:
        InputError: `limit` is not between 1 and 10,000.
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    _check_limit(limit)
    values: dict[str, Any] = {}
    conditions = _outline_conditions(asked, values)
    with transient_errors("listing runs"), connection.transaction():
        rows = _read_page(connection, _RUNS, conditions, values, after, limit)
    return _make_page(rows, Run, limit)


def list_scenes(
    connection: Connection, asked: DetectionFilter, *, after: Cursor | None = None, limit: int = 100
) -> Page[Scene]:
    """List scenes that have runs; those of the newest acquisition come first.

    Args:
        connection: Connection to the database.
        asked: Filter of the scenes' runs; classes and scores do not matter. The outline of a
            scene's newest run must intersect the box.
        after: Cursor after which the page begins; None for the first page.
        limit: Maximum number of scenes.

    Raises:
        InputError: `limit` is not between 1 and 10,000.
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    _check_limit(limit)
    values: dict[str, Any] = {}
    conditions = _outline_conditions(asked, values)
    others = join_conditions(run_conditions(asked, values, alias="o"))
    with transient_errors("listing scenes"), connection.transaction():
        rows = _read_page(connection, _SCENES, conditions, values, after, limit, others=others)
    return _make_page(rows, Scene, limit)


def get_detection(connection: Connection, number: int) -> Detection | None:
    """Return a detection by its id; None if there is none.

    Args:
        connection: Connection to the database.
        number: Id of the detection.

    Raises:
        TransientError: The connection was lost.
    """
    rows = _fetch(connection, _DETECTION, {"id": number}, "reading a detection")
    return _convert(rows[0], Detection) if rows else None


def get_run(connection: Connection, run_id: UUID) -> Run | None:
    """Return a run by its id, whatever its status is; None if there is none.

    Args:
        connection: Connection to the database.
        run_id: Id of the run.

    Raises:
        TransientError: The connection was lost.
    """
    rows = _fetch(connection, _RUN, {"id": run_id}, "reading a run")
    return _convert(rows[0], Run) if rows else None


def _outline_conditions(asked: DetectionFilter, values: dict[str, Any]) -> list[sql.Composable]:
    conditions = run_conditions(asked, values)
    if asked.bbox is not None:
        conditions.append(box_condition(_FOOTPRINT, asked.bbox, values, exact=True))
    return conditions


def _read_page(
    connection: Connection,
    statement: sql.SQL,
    conditions: Sequence[sql.Composable],
    values: dict[str, Any],
    after: Cursor | None,
    limit: int,
    *,
    has_ids: bool = False,
    **parts: sql.Composable,
) -> _Rows:
    """Return up to `limit` rows after a cursor and one more, if there is one.

    Runs of known times are read first, then the others: an index serves each of the two orders.
    """
    rows: _Rows = []
    for is_known in (True, False):
        if after is not None and is_known and after.acquired_at is None:
            continue
        if len(rows) > limit:
            break
        positions = [sql.SQL(f"r.acquired_at IS {'NOT ' * is_known}NULL")]
        if after is not None and is_known == (after.acquired_at is not None):
            positions.append(_position(after, values, has_ids=has_ids))
        query = statement.format(
            conditions=join_conditions([*conditions, *positions]),
            limit=sql.Literal(limit + 1 - len(rows)),
            **parts,
        )
        rows += _execute(connection, query, values)
    return rows


def _position(after: Cursor, values: dict[str, Any], *, has_ids: bool) -> sql.SQL:
    """Return the condition that a row comes after a cursor, and add its values.

    The first part of the condition is the one that the index can use.
    """
    values.update(after_time=after.acquired_at, after_run=after.run, after_id=after.id)
    if after.acquired_at is None:
        key, last = "r.run", "%(after_run)s"
    else:
        key, last = "(r.acquired_at, r.run)", "(%(after_time)s, %(after_run)s)"
    if not has_ids:
        return sql.SQL(f"{key} < {last}")
    return sql.SQL(
        f"{key} <= {last} AND ({key} < {last} OR ({key} = {last} AND d.id < %(after_id)s))"
    )


def _make_page(rows: _Rows, kind: type[_Record], limit: int) -> Page[_Record]:
    shown = rows[:limit]
    last = None
    if len(rows) > limit:
        end = shown[-1]
        last = Cursor(end["acquired_at"], end["run"], end.get("id", 0))
    return Page(tuple(_convert(row, kind) for row in shown), last)


def _convert(row: dict[str, Any], kind: type[_Record]) -> _Record:
    """Return a row as a record; geometries arrive as text of GeoJSON."""
    values = {name: row[name] for name in kind.__struct_fields__}
    for name in ("geometry", "footprint"):
        if values.get(name) is not None:
            values[name] = msgspec.Raw(values[name])
    return kind(**values)


def _fetch(
    connection: Connection, statement: sql.SQL | sql.Composed, values: dict[str, Any], activity: str
) -> _Rows:
    with transient_errors(activity), connection.transaction():
        return _execute(connection, statement, values)


def _execute(
    connection: Connection, statement: sql.SQL | sql.Composed, values: dict[str, Any]
) -> _Rows:
    """Return the rows of a statement, which is planned for its values."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows: _Rows = cursor.execute(statement, values, prepare=False).fetchall()
    return rows


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE_RECORDS:
        raise InputError(f"a page of {limit} records is not possible; ask for 1 to 10,000")
