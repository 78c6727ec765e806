"""Stream detections as Arrow batches, with constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
from psycopg import sql

from swath.database.connect import Connection, transient_errors
from swath.database.queries.filters import (
    DETECTION_TABLES,
    DetectionFilter,
    detection_conditions,
    join_conditions,
)

_BATCH_ROWS = 10_000

STREAM_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class", pa.string()),
        ("score", pa.float32()),
        ("tile", pa.int64()),
        ("cell", pa.int64()),
        ("area_m2", pa.float32()),
        ("length_m", pa.float32()),
        ("run_id", pa.string()),
        ("scene_id", pa.string()),
        ("scene_uri", pa.string()),
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("acquired_at", pa.timestamp("us", tz="UTC")),
        ("geometry", pa.binary()),
    ]
)
"""Columns of the batches. Geometries are little-endian WKB in degrees on WGS 84."""

_QUERY = sql.SQL(
    """
SELECT
    d.id, c.name, d.score, d.tile, d.cell, d.area_m2, d.length_m, r.run_id::text, r.scene_id,
    r.scene_uri, r.model, r.model_digest, r.acquired_at, ST_AsBinary(d.geom, 'NDR')
"""
    + DETECTION_TABLES
    + "WHERE {}"
)


def stream_detections(
    connection: Connection, asked: DetectionFilter, *, batch_rows: int = _BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield detections in batches of the schema `STREAM_SCHEMA`, in no particular order.

    All batches are of one moment. The connection serves no other query until the last batch.

    Args:
        connection: Connection that is not in a transaction.
        asked: Filter of the detections. Geometries that touch its box intersect the box.
        batch_rows: Maximum number of rows of a batch.

    Raises:
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    values: dict[str, Any] = {}
    with transient_errors("streaming detections"), connection.transaction():
        conditions = detection_conditions(connection, asked, values)
        with connection.cursor(f"stream_{uuid4().hex}", binary=True) as cursor:
            cursor.execute(_QUERY.format(join_conditions(conditions)), values)
            while rows := cursor.fetchmany(batch_rows):
                columns = zip(*rows, strict=True)
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array(column, field.type)
                        for column, field in zip(columns, STREAM_SCHEMA, strict=True)
                    ],
                    schema=STREAM_SCHEMA,
                )
