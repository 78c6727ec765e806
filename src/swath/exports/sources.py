"""Read detections in batches, from the files of runs or from the database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from swath import storage
from swath.database.connect import connect_dsn
from swath.database.queries import stream_detections
from swath.detection.geoparquet import SCHEMA, read_footer
from swath.detection.geoparquet_file import BBOX, BBOX_TYPE, GEOMETRY
from swath.errors import InputError
from swath.exports.selection import Selection
from swath.storage.addresses import RUNS_FOLDER, TABLE_FOLDER
from swath.storage.output_folder import DETECTIONS, SUMMARY

_FOOTER_READERS = 16
"""Number of files whose footers are read at the same time."""
_OPTIONAL = "acquired_at"
"""Column that files of earlier versions of swath lack."""
_TEXT = pa.dictionary(pa.int32(), pa.string())
DATABASE_SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=is_nullable)
        for name, kind, is_nullable in [
            ("class", _TEXT, False),
            ("score", pa.float32(), False),
            (GEOMETRY, pa.binary(), False),
            (BBOX, BBOX_TYPE, False),
            ("tile", pa.int64(), True),
            ("run_id", _TEXT, False),
            ("scene", _TEXT, False),
            ("model", _TEXT, False),
            ("acquired_at", pa.timestamp("us", "UTC"), True),
            ("id", pa.int64(), False),
            ("area_m2", pa.float32(), True),
            ("length_m", pa.float32(), True),
            ("model_digest", _TEXT, True),
        ]
    ]
)
"""Columns of an export from the database; boxes in px of the scene are not stored there."""


def find_files(source: str) -> Iterator[str]:
    """Yield the addresses of the files of detections at an address.

    Args:
        source: File of detections, folder of a run, folder or bucket of the results of many runs,
            or a folder of the table of all runs; an S3 URI or a local path.

    Raises:
        InputError: There are no detections.
    """
    if source.endswith(".parquet"):
        yield source
        return
    single = storage.join(source, DETECTIONS)
    if storage.exists(single):
        yield single
        return
    is_table = "/model=" in source or source.rstrip("/").endswith(f"/{TABLE_FOLDER}")
    # A results bucket has each run's detections twice, in `runs` and in the table.
    folders = [source] if is_table else [storage.join(source, RUNS_FOLDER), source]
    is_empty = True
    for folder in folders:
        for path, _ in storage.iterate_objects(folder):
            if path.endswith(".parquet" if is_table else DETECTIONS):
                is_empty = False
                yield storage.join(folder, path)
        if not is_empty:
            return
    raise InputError(
        f"there are no detections in {source}; give a run's folder, its {DETECTIONS}, or the "
        "results bucket"
    )


def read_files(source: str, selection: Selection) -> Iterator[pa.Table]:
    """Yield the selected detections of files, with the columns of `geoparquet.SCHEMA`.

    Of each file, the footer is read first. A file or a row group without a match is not read.

    Raises:
        InputError: There are no detections, or a file is not one that swath wrote.
    """
    for uri, groups in _find_matching(source, selection):
        with storage.reading(uri) as path, pq.ParquetFile(path) as file:
            for group in groups:
                rows = selection.select(_to_schema(file.read_row_group(group)))
                if rows.num_rows:
                    yield rows


def read_scene_address(run: str) -> str:
    """Return the address of a run's scene, from its summary or from its detections.

    Raises:
        InputError: Neither states the scene.
    """
    summary = storage.join(run, SUMMARY)
    if not run.endswith(".parquet") and storage.exists(summary):
        stated = storage.read_json(summary)
        if isinstance(stated, dict) and isinstance(stated.get("scene"), str):
            return str(stated["scene"])
    rows = next(read_files(run, Selection()), None)
    if rows is None:
        raise InputError(
            f"{run} does not name its scene, as it has no detections; give --scene-uri"
        )
    return str(rows["scene"][0].as_py())


def _find_matching(source: str, selection: Selection) -> Iterator[tuple[str, list[int]]]:
    """Yield files with the numbers of those row groups that may have matches."""
    uris = find_files(source)
    prefetched: deque[Future[tuple[str, list[int]]]] = deque()
    with ThreadPoolExecutor(_FOOTER_READERS) as pool:

        def read_ahead(count: int) -> None:
            for uri in islice(uris, count):
                prefetched.append(pool.submit(_matching_groups, uri, selection))

        read_ahead(_FOOTER_READERS)
        while prefetched:
            uri, groups = prefetched.popleft().result()
            read_ahead(1)
            if groups:
                yield uri, groups


def _matching_groups(uri: str, selection: Selection) -> tuple[str, list[int]]:
    try:
        footer = read_footer(uri)
    except FileNotFoundError:
        raise InputError(f"there is no file {uri}; check the address") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{uri} is no Parquet file: {error}") from None
    names = set(footer.schema.to_arrow_schema().names)
    if missing := [name for name in SCHEMA.names if name not in {*names, _OPTIONAL}]:
        raise InputError(
            f"{uri} lacks the column {missing[0]}, so it is not a file that swath wrote; give the "
            f"{DETECTIONS} of a run"
        )
    groups = range(footer.num_row_groups)
    return uri, [group for group in groups if selection.may_match(footer.row_group(group))]


def _to_schema(rows: pa.Table) -> pa.Table:
    if _OPTIONAL not in rows.column_names:
        kind = SCHEMA.field(_OPTIONAL).type
        rows = rows.append_column(_OPTIONAL, pa.nulls(rows.num_rows, kind))
    return rows.select(SCHEMA.names).cast(SCHEMA)


def read_database(dsn: str, selection: Selection) -> Iterator[pa.Table]:
    """Yield the selected detections of the database, with the columns of `DATABASE_SCHEMA`.

    Args:
        dsn: URL or libpq string of the database.
        selection: Conditions.

    Raises:
        SettingsError: The database cannot be used.
        TransientError: The connection was lost.
    """
    with closing(connect_dsn(dsn)) as connection:
        for batch in stream_detections(connection, selection.asked):
            rows = _from_stream(batch)
            if selection.area is not None:
                rows = selection.select_area(rows)
            if rows.num_rows:
                yield rows


def _from_stream(batch: pa.RecordBatch) -> pa.Table:
    bounds = shapely.bounds(shapely.from_wkb(batch[GEOMETRY].to_numpy(zero_copy_only=False)))
    edges = [pa.array(edge) for edge in np.ascontiguousarray(bounds.T)]
    columns: dict[str, Any] = {name: batch[name] for name in batch.schema.names}
    columns["scene"] = columns["scene_uri"]
    columns[BBOX] = pa.StructArray.from_arrays(edges, fields=list(BBOX_TYPE))
    return pa.table({name: columns[name] for name in DATABASE_SCHEMA.names}).cast(DATABASE_SCHEMA)
