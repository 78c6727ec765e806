"""The previous release's statements, which migration 0005 must leave working."""

import uuid

import psycopg
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb

from swath.messages.versions import SceneVersion


def boxes(count, *, west=0.0):
    """Return detections, ships and boats in turn."""
    return [
        (
            ("ship", "boat")[i % 2],
            i / max(count, 1),
            i,
            shapely.box(west + i / 1000, 50, west + i / 1000 + 0.001, 50.001),
        )
        for i in range(count)
    ]


def load(connection, request, detections, *, status="succeeded"):
    """Load a run as the previous release did, in one transaction.

    Args:
        connection: Connection that is not in a transaction.
        request: Request of the run.
        detections: Class, score, tile and geometry of each detection.
        status: Status of the run.
    """
    scene, model = request.scene.uri, request.model.name
    version = SceneVersion.from_request(request)
    row = {
        "run_id": request.run_id,
        "scene_uri": scene,
        "scene_etag": request.scene.etag,
        "scene_dropped_at": version.dropped_at,
        "scene_sequencer": version.sequencer,
        "requested_at": version.requested_at,
        "model": model,
        "model_digest": request.model.digest,
        "options": Jsonb({}),
        "status": status,
        "detections": len(detections),
        "warnings": [],
        "ended_at": version.dropped_at,
    }
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{scene}\n{model}"]
        )
        replaced = connection.execute(
            "UPDATE swath.runs SET status = 'replaced' WHERE scene_uri = %s AND model = %s"
            " AND run_id <> %s AND status = 'succeeded' RETURNING run_id",
            [scene, model, request.run_id],
        ).fetchall()
        delete(connection, [request.run_id, *(str(run_id) for (run_id,) in replaced)])
        known = {c.name for c in connection.execute("SELECT * FROM swath.runs").description}
        _write_run(connection, {name: row[name] for name in row if name in known})
        copy(connection, request.run_id, detections)


def delete(connection, run_ids):
    """Delete the detections of runs."""
    connection.execute("DELETE FROM swath.detections WHERE run_id = ANY (%s::uuid[])", [run_ids])


def copy(connection, run_id, detections):
    """Copy detections into the table, in PostgreSQL's binary format."""
    statement = (
        "COPY swath.detections (run_id, class, score, tile, geom) FROM STDIN (FORMAT binary)"
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as stream:
            stream.set_types(["uuid", "text", "float4", "int8", "bytea"])
            for name, score, tile, geometry in detections:
                ewkb = shapely.to_wkb(
                    shapely.set_srid(geometry, 4326), include_srid=True, byte_order=1
                )
                stream.write_row((uuid.UUID(run_id), name, score, tile, ewkb))
        assert cursor.rowcount == len(detections)


def _write_run(connection: psycopg.Connection, row):
    columns = [sql.Identifier(name) for name in row]
    new = [sql.SQL("excluded.{}").format(column) for column in columns]
    statement = sql.SQL(
        "INSERT INTO swath.runs ({columns}) VALUES ({values})"
        " ON CONFLICT (run_id) DO UPDATE SET ({columns}) = ROW ({new})"
    ).format(
        columns=sql.SQL(", ").join(columns),
        values=sql.SQL(", ").join(sql.Placeholder(name) for name in row),
        new=sql.SQL(", ").join(new),
    )
    connection.execute(statement, row)
