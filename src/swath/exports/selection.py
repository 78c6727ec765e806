"""Select detections of files, as `swath.database.queries` selects those of the database."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from swath import storage
from swath.database.queries.filters import DetectionFilter, split_bounds
from swath.detection.geoparquet_file import BBOX, EDGES, GEOMETRY
from swath.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_AREA_BYTES = 64 << 20
"""Maximum size of a file with an area."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Conditions on detections; all of them must hold."""

    asked: DetectionFilter = field(default_factory=DetectionFilter)
    """Conditions that the database evaluates too. Its box includes `area`."""
    area: Any = None
    """shapely Polygon or MultiPolygon in longitude and latitude; None for everywhere."""

    @classmethod
    def from_area(cls, asked: DetectionFilter, area: Any) -> Selection:
        """Return conditions with an area, whose bounds are the box of the query.

        Raises:
            InputError: There is a box already.
        """
        if asked.bbox is not None:
            raise InputError("an export has a box or an area, not both; give only one of them")
        west, south, east, north = area.bounds
        box = (max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0))
        return cls(msgspec.structs.replace(asked, bbox=box), area)

    def may_match(self, group: pq.RowGroupMetaData) -> bool:
        """Return whether a row group may have rows that match, by the bounds of its columns."""
        bounds = {
            column.path_in_schema: column.statistics
            for column in (group.column(number) for number in range(group.num_columns))
            if column.statistics is not None and column.statistics.has_min_max
        }

        def is_within(name: str, low: Any, high: Any) -> bool:
            if name not in bounds:
                return True
            stored = bounds[name]
            return (high is None or stored.min <= high) and (low is None or stored.max >= low)

        asked = self.asked
        run_id = None if asked.run_id is None else str(asked.run_id)
        return (
            is_within("score", _as_stored(asked.min_score), None)
            and is_within("acquired_at", asked.start, asked.end)
            and is_within("model", asked.model, asked.model)
            and is_within("run_id", run_id, run_id)
            and (not asked.classes or any(is_within("class", one, one) for one in asked.classes))
            and (
                asked.bbox is None
                or any(
                    is_within(f"{BBOX}.xmin", None, east)
                    and is_within(f"{BBOX}.xmax", west, None)
                    and is_within(f"{BBOX}.ymin", None, north)
                    and is_within(f"{BBOX}.ymax", south, None)
                    for west, south, east, north in split_bounds(asked.bbox)
                )
            )
        )

    def select(self, rows: pa.Table) -> pa.Table:
        """Return the rows that match.

        Args:
            rows: Rows with the columns of `swath.detection.geoparquet.SCHEMA`.
        """
        asked = self.asked
        conditions = []
        if asked.classes:
            conditions.append(pc.is_in(_plain(rows["class"]), pa.array(asked.classes)))
        if asked.min_score is not None:
            conditions.append(pc.greater_equal(rows["score"], _as_stored(asked.min_score)))
        if asked.start is not None:
            conditions.append(pc.greater_equal(rows["acquired_at"], asked.start))
        if asked.end is not None:
            conditions.append(pc.less(rows["acquired_at"], asked.end))
        for name, value in (("model", asked.model), ("run_id", asked.run_id)):
            if value is not None:
                conditions.append(pc.equal(_plain(rows[name]), str(value)))
        if conditions:
            rows = rows.filter(functools.reduce(pc.and_, conditions))
        return self.select_area(rows)

    def select_area(self, rows: pa.Table) -> pa.Table:
        """Return the rows whose geometries intersect the box and the area."""
        if self.asked.bbox is None or not rows.num_rows:
            return rows
        parts = [shapely.box(*bounds) for bounds in split_bounds(self.asked.bbox)]
        area = self.area if self.area is not None else shapely.MultiPolygon(parts)
        bounds = rows[BBOX].combine_chunks()
        west, south, east, north = (bounds.field(name).to_numpy() for name in EDGES)
        near: NDArray[np.bool_] = np.zeros(rows.num_rows, bool)
        for part in parts:
            x0, y0, x1, y1 = part.bounds
            near |= (west <= x1) & (east >= x0) & (south <= y1) & (north >= y0)
        rows = rows.filter(pa.array(near))
        shapely.prepare(area)
        shapes = shapely.from_wkb(rows[GEOMETRY].to_numpy())
        return rows.filter(pa.array(shapely.intersects(area, shapes)))


def read_area(uri: str) -> Any:
    """Read the polygons of a GeoJSON file as one area, in longitude and latitude.

    Args:
        uri: S3 URI or local path of a geometry, a Feature or a FeatureCollection.

    Returns:
        A shapely Polygon or MultiPolygon.

    Raises:
        InputError: There is no such file, it is no GeoJSON, or has no valid polygon.
    """
    try:
        shapes = _geometries(json.loads(storage.read_bounded(uri, MAX_AREA_BYTES)))
        area = shapely.union_all(
            shapely.make_valid([shapely.geometry.shape(one) for one in shapes])
        )
    except FileNotFoundError:
        raise InputError(f"there is no area {uri}; check the address") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"the area {uri} is no GeoJSON of polygons: {error}") from None
    except shapely.errors.ShapelyError as error:
        raise InputError(f"the area {uri} has an invalid polygon: {error}") from None
    west, south, east, north = area.bounds
    if not area.area:
        raise InputError(f"the area {uri} has no polygon; draw one that is not empty")
    if west < -180 or south < -90 or east > 180 or north > 90:  # noqa: PLR2004 - the Earth
        raise InputError(
            f"the area {uri} is not in longitude and latitude, as GeoJSON requires; convert it to "
            "EPSG:4326"
        )
    return area


def _geometries(content: Any) -> list[Any]:
    match content["type"]:
        case "FeatureCollection":
            return [shape for feature in content["features"] for shape in _geometries(feature)]
        case "Feature":
            return [content["geometry"]]
        case _:
            return [content]


def parse_bbox(text: str) -> tuple[float, float, float, float]:
    """Return a box from west,south,east,north.

    Raises:
        InputError: The text is no box.
    """
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise InputError(
            f"the box {text!r} is not four numbers in degrees; write west,south,east,north"
        ) from None
    return west, south, east, north


def _as_stored(score: float | None) -> float | None:
    """Return a score as the files have it, in float32."""
    return None if score is None else float(np.float32(score))


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.string())
