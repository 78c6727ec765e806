"""Load a run into PostGIS, and migrate a database with many rows of an earlier release."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from benchmarks.meter import Meter, Sample
from local_cloud.postgis.server import PostgisServer
from swath.database.columns import encode_batches
from swath.database.connect import connect_dsn
from swath.database.copy_rows import COLUMNS, HEADER, TRAILER
from swath.database.load import load_run
from swath.database.migrate import migrate
from swath.database.move_rows import move_rows
from swath.messages import (
    Backend,
    MergeSummary,
    ModelRef,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
)

_CLASS_NAMES = ("ship", "tank", "tree")
_RUN_ROWS = 5_000
"""Number of detections of each run of the earlier release."""
_KILL_SECONDS = 4.0
_POLL_SECONDS = 0.002
_FOREVER_SECONDS = 1e9

# Rotated boxes around positions that move along a spiral, run after run.
_OLD_RUNS = """
INSERT INTO swath.runs (
    run_id, scene_uri, scene_etag, scene_dropped_at, model, model_digest, options, status,
    detections, ended_at
)
SELECT
    md5('run' || n)::uuid, 's3://scenes/' || n || '.tif', 'etag', now(), 'ships', 'digest', '{}',
    'succeeded', %(rows)s::int, now()
FROM generate_series(0, %(runs)s::int - 1) AS n
"""
_OLD_ROWS = """
INSERT INTO swath.detections (run_id, class, score, tile, geom)
SELECT
    md5('run' || i / %(rows)s::int)::uuid,
    (ARRAY['ship', 'tank', 'tree'])[1 + i %% 3],
    (i %% 1000) / 1000.0,
    i %% %(rows)s::int,
    ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[
        ST_MakePoint(x - a, y - b), ST_MakePoint(x + b, y - a), ST_MakePoint(x + a, y + b),
        ST_MakePoint(x - b, y + a), ST_MakePoint(x - a, y - b)
    ])), 4326)
FROM (
    SELECT
        i,
        -179 + 0.0717 * (i / %(rows)s::int %% 4990) + 0.0005 * (i %% 71) AS x,
        60 * sin(i / %(rows)s::int) + 0.0005 * (i %% %(rows)s::int / 71) AS y,
        0.0001 * (1 + i %% 7) AS a,
        0.0001 * (1 + i %% 5) AS b
    FROM generate_series(0, %(runs)s::int * %(rows)s::int - 1) AS i
) AS drawn
"""
_CONTENT = """
SELECT count(*), sum(hashtextextended(
    concat_ws('|', id, run_id, class, score, tile, md5(ST_AsBinary(geom))), 0
)::numeric)
FROM swath.detections
"""


def load(count: int) -> Sample:
    """Load one run, as the function `load_detections` does."""
    with _run_file(count) as (request, merge), _database() as dsn, connect_dsn(dsn) as connection:
        migrate(connection)
        with Meter() as meter:
            load_run(connection, request, merge)
    return meter.sample(rows=count)


def copy(count: int) -> Sample:
    """Copy the same rows, which were encoded before, into the same table."""
    with _run_file(count) as (_, merge), _database() as dsn, connect_dsn(dsn) as connection:
        migrate(connection)
        with pq.ParquetFile(merge.uri) as file:
            numbers = {name: number for number, name in enumerate(_CLASS_NAMES)}
            batches = [rows.tobytes() for rows in encode_batches(file, 1, numbers)]
        columns = ", ".join(COLUMNS)
        statement = f"COPY swath.detection_rows ({columns}) FROM STDIN (FORMAT binary)"
        with Meter() as meter, connection.cursor().copy(statement) as stream:
            for part in (HEADER, *batches, TRAILER):
                stream.write(part)
        connection.commit()
    return meter.sample(rows=count)


def migration(count: int) -> Sample:
    """Migrate a database in place: kill the move of the rows three times, and compare all rows.

    `longest_wait` is the longest time in s that a reader waited; `wall` is the time of the whole
    move, with the restarts.

    Raises:
        RuntimeError: The rows differ.
    """
    with _database() as dsn, connect_dsn(dsn) as connection:
        migrate(connection, revision="0004")
        sizes = {"runs": count // _RUN_ROWS, "rows": _RUN_ROWS}
        for statement in (_OLD_RUNS, _OLD_ROWS, "ANALYZE"):
            connection.execute(statement, sizes if "%" in statement else None)
        connection.commit()
        before = connection.execute(_CONTENT).fetchone()
        connection.commit()
        with _poll(dsn) as waits:
            migrate(connection)
        with Meter() as meter:
            kills = _move_with_kills(dsn)
        after = connection.execute(_CONTENT).fetchone()
        left = connection.execute("SELECT count(*) FROM swath.detections_0004").fetchone()
    if before != after or left != (0,):
        raise RuntimeError(f"the rows differ: {before}, then {after}; {left} rows are left")
    return meter.sample(rows=sizes["runs"] * _RUN_ROWS, kills=kills, longest_wait=max(waits))


def _move_with_kills(dsn: str, kills: int = 3) -> int:
    """Move all rows in other processes, and kill the first ones; return the number of kills."""
    context = multiprocessing.get_context("spawn")
    killed = 0
    while True:
        mover = context.Process(target=_move, args=(dsn,))
        mover.start()
        mover.join(_KILL_SECONDS if killed < kills else None)
        if not mover.is_alive():
            if mover.exitcode:
                raise RuntimeError(f"the move ended with {mover.exitcode}")
            return killed
        mover.kill()
        mover.join()
        killed += 1


def _move(dsn: str) -> None:
    with connect_dsn(dsn) as connection:
        # The server may need a moment to notice that the previous process is gone.
        while move_rows(connection, seconds=_FOREVER_SECONDS).remaining:
            time.sleep(_POLL_SECONDS)


@contextmanager
def _poll(dsn: str) -> Iterator[list[float]]:
    """Read the view again and again in another thread; yield the times in s that it took."""
    waits, stop = [0.0], Event()

    def read() -> None:
        with psycopg.connect(dsn, autocommit=True) as reader:
            while not stop.is_set():
                began = time.perf_counter()
                reader.execute("SELECT class FROM swath.scene_detections LIMIT 1")
                waits.append(time.perf_counter() - began)
                time.sleep(_POLL_SECONDS)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            yield waits
        finally:
            stop.set()
        reading.result()


@contextmanager
def _database() -> Iterator[str]:
    with PostgisServer() as server:
        dsn = psycopg.conninfo.make_conninfo(server.dsn(), dbname="bench")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE bench TEMPLATE template0")
        yield dsn


@contextmanager
def _run_file(count: int) -> Iterator[tuple[RunRequest, MergeSummary]]:
    """Write rotated boxes along the rows of a scene as a run's file."""
    rng = np.random.default_rng(count)
    center = np.stack([np.arange(count) % 1000, np.arange(count) // 1000], axis=1) * 0.0005
    angle, half = rng.uniform(0, np.pi, count), rng.uniform(0.0001, 0.001, (count, 2))
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corner = signs * half[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = corner[..., 0] * cos - corner[..., 1] * sin
    y = corner[..., 0] * sin + corner[..., 1] * cos
    polygons = shapely.polygons(np.stack([x, y], axis=-1) + center[:, None])
    table: dict[str, Any] = {
        "class": pa.DictionaryArray.from_arrays(
            rng.integers(0, len(_CLASS_NAMES), count).astype(np.int32), _CLASS_NAMES
        ),
        "score": rng.uniform(0, 1, count).astype(np.float32),
        "tile": np.arange(count) // 100,
        "geometry": shapely.to_wkb(polygons, byte_order=1),
    }
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        path = Path(folder, "detections.parquet")
        pq.write_table(pa.table(table), path, row_group_size=65536)
        request = RunRequest.new(
            scene=SceneRef(uri="s3://scenes/x.tif", etag="e", dropped_at="2026-01-01T00:00:00Z"),
            model=ModelRef(name="ships", uri="s3://models/m.tar.gz", digest="d"),
            options=RunOptions(backend=Backend.LOCAL),
        )
        tiles = TileCounts(planned=1, succeeded=1, failed=0, skipped=0)
        yield request, MergeSummary(uri=str(path), detections=count, tiles=tiles)
