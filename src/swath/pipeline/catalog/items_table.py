"""Write Items as stac-geoparquet: one row for an Item, one column for a property.

https://github.com/radiantearth/stac-geoparquet-spec, version 1.0.0

The columns are fixed, so that files of different days have the same. Counts by class, whose names
differ by model, and warnings are only in the Items. The package stac-geoparquet derives the columns
from the Items instead, so that they would differ from day to day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from swath.detection.geoparquet_file import BBOX_TYPE, EDGES

_TIME = pa.timestamp("us", "UTC")
_TIMES = ("datetime", "start_datetime", "end_datetime", "swath:dropped_at")
_NUMBERS = (
    "gsd",
    "eo:cloud_cover",
    "view:sun_azimuth",
    "view:sun_elevation",
    "view:off_nadir",
    "view:azimuth",
    "view:incidence_angle",
    "swath:valid_area_m2",
    "swath:score_threshold",
)
_TEXTS = (
    "platform",
    "swath:scene",
    "swath:scene_etag",
    "swath:model",
    "swath:model_digest",
    "swath:backend",
)
_ASSET = pa.struct(
    [
        ("href", pa.string()),
        ("title", pa.string()),
        ("type", pa.string()),
        ("roles", pa.list_(pa.string())),
        ("file:size", pa.int64()),
        ("table:row_count", pa.int64()),
    ]
)
_LINK = pa.struct([(name, pa.string()) for name in ("rel", "href", "type", "title")])
_PROPERTIES: dict[str, pa.DataType] = {
    **dict.fromkeys(_TIMES, _TIME),
    **dict.fromkeys(_TEXTS, pa.string()),
    **dict.fromkeys(_NUMBERS, pa.float64()),
    "swath:detections": pa.int64(),
    "processing:software": pa.struct([("swath", pa.string())]),
}
ITEMS_SCHEMA = pa.schema(
    [
        ("type", pa.string()),
        ("stac_version", pa.string()),
        ("stac_extensions", pa.list_(pa.string())),
        ("id", pa.string()),
        ("collection", pa.string()),
        ("geometry", pa.binary()),
        ("bbox", BBOX_TYPE),
        ("links", pa.list_(_LINK)),
        ("assets", pa.struct([("detections", _ASSET), ("mask", _ASSET)])),
        *_PROPERTIES.items(),
    ]
)
"""Columns of a file of Items."""


def merge_items(earlier: bytes | None, items: Mapping[str, dict[str, Any]]) -> bytes:
    """Return a file with the Items of an earlier one and further ones, sorted by id.

    Args:
        earlier: Content of the earlier file; None if there is none.
        items: Items by id, which replace Items of the same id.
    """
    tables = [pa.Table.from_pylist([_to_row(item) for item in items.values()], ITEMS_SCHEMA)]
    if earlier is not None:
        known = pq.read_table(pa.BufferReader(earlier)).select(ITEMS_SCHEMA.names)
        is_new = pc.is_in(known["id"], pa.array([*items], pa.string()))
        tables.append(known.cast(ITEMS_SCHEMA).filter(pc.invert(is_new)))
    table = pa.concat_tables(tables).sort_by("id")
    content = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(_metadata(table)), content, compression="zstd")
    merged: bytes = content.getvalue().to_pybytes()
    return merged


def _to_row(item: dict[str, Any]) -> dict[str, Any]:
    properties = item["properties"]
    west, south, east, north = item["bbox"]
    row = {name: item.get(name) for name in ("type", "stac_version", "stac_extensions", "id")}
    return row | {
        "collection": item.get("collection"),
        "geometry": shapely.to_wkb(shapely.geometry.shape(item["geometry"]), byte_order=1),
        "bbox": dict(zip(EDGES, (west, south, east, north), strict=True)),
        "links": item["links"],
        "assets": {name: item["assets"].get(name) for name in ("detections", "mask")},
        **{name: _convert(name, properties.get(name)) for name in _PROPERTIES},
    }


def _convert(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in _TIMES and value else value


def _metadata(table: pa.Table) -> dict[str, str]:
    types = sorted({shape.geom_type for shape in shapely.from_wkb(table["geometry"].to_pylist())})
    column = {
        "encoding": "WKB",
        "geometry_types": types,
        "covering": {"bbox": {name: ["bbox", name] for name in EDGES}},
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.0.0"})}
