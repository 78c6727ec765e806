"""Read the columns of a run's GeoParquet file as the rows of `swath.detection_rows` need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from swath.database.copy_rows import Bytes, Lengths, copy_rows
from swath.database.measures import measure

# A batch of boxes has some 7 MB: large enough for NumPy to be fast, small for any Lambda function.
_BATCH_ROWS = 50_000
_COLUMNS = ("class", "score", "tile", "geometry")

Counter = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.float32]], None]
"""Function that is called with the cells, class numbers and scores of each batch."""


def _count_nothing(*_: Any) -> None:
    pass


def class_names(file: pq.ParquetFile) -> set[str]:
    """Return the names of the classes that detections of a file have.

    Raises:
        ValueError: A detection has no class.
    """
    names: set[Any] = set()
    for batch in _batches(file, ["class"]):
        names.update(pc.unique(_plain(batch.column(0))).to_pylist())
    if None in names:
        raise ValueError("a detection has no class")
    return names


def encode_batches(
    file: pq.ParquetFile, run: int, classes: dict[str, int], count: Counter = _count_nothing
) -> Iterator[Bytes]:
    """Yield the rows of a file as COPY rows, with one row group in memory at a time.

    Args:
        file: GeoParquet file of a run.
        run: Number of the run.
        classes: Numbers of the classes by name.
        count: Function that counts the detections of a batch.

    Raises:
        ValueError: A value is missing, or a geometry is empty or no plain WKB.
    """
    for batch in _batches(file, list(_COLUMNS)):
        columns = (batch.column(name) for name in _COLUMNS)
        yield encode_batch(run, classes, *columns, count=count)


def encode_batch(
    run: int,
    classes: dict[str, int],
    names: pa.Array,
    scores: pa.Array,
    tiles: pa.Array,
    geometries: pa.Array,
    *,
    count: Counter = _count_nothing,
) -> Bytes:
    """Measure detections, and encode them as COPY rows for `swath.database.copy_rows.COLUMNS`.

    Args:
        run: Number of the run.
        classes: Numbers of the classes by name.
        names: Class names, strings, shape (n,).
        scores: Scores, float32, shape (n,).
        tiles: Numbers of tiles, int64, shape (n,).
        geometries: Geometries in EPSG:4326, shape (n,), as little-endian WKB without Z, M or SRID.
        count: Function that counts the detections.

    Returns:
        The bytes of the rows, uint8.

    Raises:
        ValueError: A value is missing, or a geometry is empty or no such WKB.
    """
    for column in (names, scores, tiles, geometries):
        if column.null_count:
            raise ValueError(f"{column.null_count} of {len(column)} values are missing")
    wkb, lengths = _concatenated_bytes(geometries)
    measures = measure(wkb, lengths)
    number, score = _numbers(names, classes), scores.to_numpy(zero_copy_only=False)
    count(measures.cell, number, score)
    columns = {
        "run": run,
        "class": number,
        "score": score,
        "tile": tiles.to_numpy(zero_copy_only=False),
        "cell": measures.cell,
        "area_m2": measures.area_m2,
        "length_m": measures.length_m,
    }
    return copy_rows(columns, wkb, lengths)


def _numbers(names: pa.Array, classes: dict[str, int]) -> npt.NDArray[np.int16]:
    """Return the number of each class, shape (n,)."""
    encoded = _plain(names).dictionary_encode()
    numbers = np.array([classes[name] for name in encoded.dictionary.to_pylist()], np.int16)
    return numbers[encoded.indices.to_numpy()] if len(numbers) else np.empty(0, np.int16)


def _plain(names: pa.Array) -> pa.Array:
    """Return names as strings, whether they are encoded by a dictionary or not."""
    return names.cast(pa.string())


def _concatenated_bytes(column: pa.Array) -> tuple[Bytes, Lengths]:
    """Return the concatenated bytes of a column of binaries, and each value's length."""
    values = column.cast(pa.large_binary())
    _, offsets, content = values.buffers()
    ends = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(content or b"", np.uint8)[ends[0] : ends[-1]], np.diff(ends)


def _batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches, with one row group in memory at a time."""
    for group in range(file.num_row_groups):
        # A single call for all row groups would keep all of them in memory until the last is read.
        yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
