"""Select detections: by class, score, time, area, model and run."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from swath.database.connect import Connection
from swath.errors import InputError

_HALF_TURN = 180.0
_QUARTER_TURN = 90.0
# Detections may extend beyond the outline of their scene, so the outline is compared with a margin.
_FOOTPRINT_MARGIN_DEGREES = 0.1

Bounds = tuple[float, float, float, float]
"""West, south, east and north in degrees."""
DETECTION_TABLES = """
FROM swath.runs AS r
INNER JOIN swath.detection_rows AS d ON d.run = r.run
INNER JOIN swath.classes AS c ON c.class = d.class
"""
"""Tables of a query for detections `d` with their runs `r` and classes `c`."""


class DetectionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on detections; all of them must hold. A run must satisfy those on its own columns.

    Raises:
        InputError: A value is outside its range; the message has the value and the range.
    """

    classes: tuple[str, ...] = ()
    """Names of classes, of which a detection has one; empty: all classes."""
    min_score: float | None = None
    """Lowest score, 0 to 1. It is compared as float32, as scores are stored."""
    start: datetime | None = None
    """Earliest time of acquisition, with a time zone."""
    end: datetime | None = None
    """Time with a time zone before which the scene was acquired."""
    bbox: Bounds | None = None
    """West, south, east and north in degrees; a box whose west exceeds its east crosses 180°.

    Lists and streams have the detections that intersect the box. Tiles up to zoom 13 and sums count
    those whose center is in the box."""
    model: str | None = None
    """Name of the model."""
    model_digest: str | None = None
    """SHA-256 of the model package, which is the version of the model."""
    run_id: UUID | None = None
    """Id of the run."""
    scene_id: str | None = None
    """Identity of the scene, see `swath.runs.scene_id`."""
    active_only: bool = True
    """Whether to leave out the detections of runs that are not the current ones."""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise InputError(f"the score {self.min_score} is not between 0 and 1")
        for name, time in (("start", self.start), ("end", self.end)):
            if time is not None and time.tzinfo is None:
                raise InputError(
                    f"the {name} {time.isoformat()} has no time zone; append Z for UTC"
                )
        if self.bbox is not None:
            _check_bounds(self.bbox)

    @property
    def has_run_conditions(self) -> bool:
        """Whether a condition concerns a column of `swath.runs` besides `active`."""
        return any(
            value is not None
            for value in (
                *(self.start, self.end, self.model, self.model_digest),
                *(self.run_id, self.scene_id),
            )
        )


def needs_runs(connection: Connection, asked: DetectionFilter) -> bool:
    """Return whether a query for rows must join their runs.

    Without conditions on runs that is so only while a run is switched off: other runs that are not
    active have no rows.
    """
    if asked.has_run_conditions:
        return True
    if not asked.active_only:
        return False
    ((is_off,),) = connection.execute(
        "SELECT EXISTS (SELECT FROM swath.runs WHERE status = 'succeeded' AND NOT active)"
    )
    return bool(is_off)


def split_bounds(bounds: Bounds) -> list[Bounds]:
    """Return a box as one box, or as two if it crosses 180°."""
    west, south, east, north = bounds
    if west <= east:
        return [bounds]
    return [(west, south, _HALF_TURN, north), (-_HALF_TURN, south, east, north)]


def run_conditions(
    asked: DetectionFilter, values: dict[str, Any], *, alias: str = "r"
) -> list[sql.Composable]:
    """Return the conditions on `swath.runs`, and add their values."""
    table = sql.Identifier(alias)
    conditions: list[sql.Composable] = []
    if asked.active_only:
        conditions.append(sql.SQL("{}.active").format(table))
    for name, condition in (
        ("start", sql.SQL("{}.acquired_at >= %(start)s")),
        ("end", sql.SQL("{}.acquired_at < %(end)s")),
        ("model", sql.SQL("{}.model = %(model)s")),
        ("model_digest", sql.SQL("{}.model_digest = %(model_digest)s")),
        ("run_id", sql.SQL("{}.run_id = %(run_id)s")),
        ("scene_id", sql.SQL("{}.scene_id = %(scene_id)s")),
    ):
        if (value := getattr(asked, name)) is not None:
            values[name] = value
            conditions.append(condition.format(table))
    return conditions


def footprint_condition(bounds: Bounds, values: dict[str, Any]) -> sql.Composable:
    """Return the condition that a run of unknown or near outline satisfies, and add its values."""
    west, south, east, north = bounds
    margin = _FOOTPRINT_MARGIN_DEGREES
    near = (west - margin, south - margin, east + margin, north + margin)
    if west > east and west - margin <= east + margin:
        near = (-_HALF_TURN, near[1], _HALF_TURN, near[3])
    overlaps = box_condition(sql.Identifier("r", "footprint"), near, values, name="near")
    return sql.SQL("({} OR r.footprint IS NULL)").format(overlaps)


def box_condition(
    geometry: sql.Composable,
    bounds: Bounds,
    values: dict[str, Any],
    *,
    name: str = "box",
    exact: bool = False,
) -> sql.Composable:
    """Return the condition that a geometry's bounds overlap a box, and add the box's values.

    Args:
        geometry: Column of the geometries.
        bounds: Box; its west exceeds its east if it crosses 180°.
        values: Parameters of the statement.
        name: Beginning of the parameters' names.
        exact: Whether the geometry itself must intersect the box.
    """
    parts = []
    for number, part in enumerate(split_bounds(bounds)):
        names = [f"{name}_{number}_{side}" for side in ("west", "south", "east", "north")]
        values.update(zip(names, part, strict=True))
        envelope = sql.SQL("ST_MakeEnvelope({}, 4326)").format(
            sql.SQL(", ").join(
                sql.SQL("{}::float8").format(sql.Placeholder(each)) for each in names
            )
        )
        template = sql.SQL("ST_Intersects({}, {})") if exact else sql.SQL("{} && {}")
        parts.append(template.format(geometry, envelope))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def row_conditions(
    connection: Connection,
    asked: DetectionFilter,
    values: dict[str, Any],
    *,
    has_score: bool = True,
) -> list[sql.Composable]:
    """Return the conditions on class and score of `d`, and add their values.

    Args:
        connection: Connection to the database.
        asked: Filter of the detections.
        values: Parameters of the statement, which are extended.
        has_score: Whether `d` has a column `score`.
    """
    conditions: list[sql.Composable] = []
    if asked.classes:
        values["classes"] = class_numbers(connection, asked.classes)
        conditions.append(sql.SQL("d.class = ANY (%(classes)s::smallint[])"))
    if has_score and asked.min_score is not None:
        values["min_score"] = asked.min_score
        conditions.append(sql.SQL("d.score >= %(min_score)s::real"))
    return conditions


def detection_conditions(
    connection: Connection, asked: DetectionFilter, values: dict[str, Any]
) -> list[sql.Composable]:
    """Return all conditions of a filter on `DETECTION_TABLES`, and add their values."""
    conditions = [*run_conditions(asked, values), *row_conditions(connection, asked, values)]
    if asked.bbox is not None:
        conditions += [
            footprint_condition(asked.bbox, values),
            box_condition(sql.Identifier("d", "geom"), asked.bbox, values, exact=True),
        ]
    return conditions


def class_numbers(connection: Connection, names: tuple[str, ...]) -> list[int]:
    """Return the numbers of the classes that exist."""
    found = connection.execute(
        "SELECT class FROM swath.classes WHERE name = ANY (%s::text[])", [list(names)]
    )
    return [number for (number,) in found]


def join_conditions(conditions: list[sql.Composable]) -> sql.Composable:
    """Return the conjunction of conditions; true without any."""
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _check_bounds(bounds: Bounds) -> None:
    west, south, east, north = bounds
    if not all(map(math.isfinite, bounds)):
        raise InputError(f"the box {_write(bounds)} has a value that is no finite number")
    if not all(-_HALF_TURN <= value <= _HALF_TURN for value in (west, east)):
        raise InputError(f"the box {_write(bounds)} has a longitude beyond 180 degrees")
    if not -_QUARTER_TURN <= south <= north <= _QUARTER_TURN:
        raise InputError(
            f"the box {_write(bounds)} needs latitudes from -90 to 90 degrees, south first; "
            "write it as west,south,east,north"
        )


def _write(bounds: Bounds) -> str:
    return ",".join(f"{value:.10g}" for value in bounds)
