"""Sort rows along a space-filling curve, in bounded memory.

Neighbors on the ground become neighbors in the file. So the bounds of a row group are small, and a
query of an area skips most row groups.

The curve is the Morton curve of `swath.database.measures.cell_numbers`. Rows that exceed the memory
are sorted in chunks, which are kept in temporary files (an external merge sort: D. E. Knuth, The
Art of Computer Programming 3, 5.4). pyarrow and DuckDB's Python client sort in memory, or need a
copy of the rows in a format of their own.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
import pyarrow as pa

from swath.database.measures import cell_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats

CELL = "cell"
"""Column of a temporary file with the number of the cell, int64."""
MAX_CHUNK_ROWS = 1 << 20
"""Maximum number of rows that are sorted in memory."""
MAX_CHUNK_BYTES = 256 << 20
"""Number of bytes of rows from which a chunk is sorted, whatever the number of its rows."""
_PART_ROWS = 1 << 16
"""Number of rows, approximate, of a part of the curve: its rows are in memory together."""
_TABLE_ROWS = 1 << 14
"""Maximum number of rows that are gathered at once, so that they fit into a cache."""
_THREADS = 2
"""Number of threads that gather rows; NumPy and Arrow run outside Python's lock."""
_SAMPLE_ROWS = 1 << 10
"""Number of a chunk's rows for each sample of its cells."""


_Keys = tuple[Any, Any, Any]
"""Cells, tiles and scores of rows, (n,) each; None for tiles and scores that do not exist."""


def center_cells(bounds: Floats) -> NDArray[np.int64]:
    """Return the cells (n,) of the centers of bounds.

    The center of a polygon on both sides of the antimeridian is far from it, which costs such a
    polygon's readers one more row group.

    Args:
        bounds: West, south, east and north in degrees, (4, n).
    """
    west, south, east, north = bounds
    return cell_numbers((west + east) / 2, (south + north) / 2)


T = TypeVar("T")
Gather = Callable[["NDArray[np.int64]"], pa.Table]
"""Function that returns rows by their indices, in the order of the indices."""


def gather_from(tables: Sequence[pa.Table]) -> Gather:
    """Return a function that takes rows from tables, which have the same columns."""
    rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return lambda order: _take(rows, pa.array(order))


class SpatialSorter(Generic[T]):
    """Sorts rows by cell, then by tile and descending score if they have these.

    Rows that are equal in all of these keep their order. Rows become tables once their order is
    known, so that few of them are copied twice. `with` removes the temporary files.
    """

    def __init__(self, join: Callable[[Sequence[T]], Gather]) -> None:
        """Begin without rows.

        Args:
            join: Function that returns how to take rows from parts, as `gather_from` does.
        """
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(_THREADS))
        self._folder: Path | None = None
        self._join = join
        self._pending: list[tuple[T, _Keys]] = []
        self._rows = self._bytes = 0
        self._chunks: list[pa.Table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Before the files are removed, nothing may map them any longer.
        self._chunks, self._pending = [], []
        self._stack.close()

    def add(
        self,
        part: T,
        cells: NDArray[np.int64],
        *,
        tile: NDArray[np.int64] | None = None,
        score: NDArray[np.floating] | None = None,
        size: int,
    ) -> None:
        """Add rows.

        Args:
            part: Rows, n of them.
            cells: Cell of each row, (n,).
            tile: Number of the tile of each row, (n,); None in all parts or in none.
            score: Score of each row, (n,); None in all parts or in none.
            size: Size of the rows in bytes.
        """
        self._pending.append((part, (cells, tile, score)))
        self._rows += len(cells)
        self._bytes += size
        if self._rows >= MAX_CHUNK_ROWS or self._bytes >= MAX_CHUNK_BYTES:
            self._spill()

    def read_sorted(self) -> Iterator[pa.Table]:
        """Yield all rows in their order."""
        if not self._chunks:
            for rows, _ in self._sort_pending():
                yield rows
            return
        if self._pending:
            self._spill()
        edges = _divide_curve([chunk[CELL].to_numpy() for chunk in self._chunks])
        for parts in zip(*(_cut(chunk, edges) for chunk in self._chunks), strict=True):
            keys = [_keys(rows) for rows in parts]
            yield gather_from([rows.drop_columns([CELL]) for rows in parts])(_order(keys))

    def _sort_pending(self) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Yield the rows in memory in their order, and their cells."""
        if not self._pending:
            return
        keys = [key for _, key in self._pending]
        order, cells = _order(keys), np.concatenate([key[0] for key in keys])
        gather = self._join([part for part, _ in self._pending])
        self._pending, self._rows, self._bytes = [], 0, 0
        slices = [order[start : start + _TABLE_ROWS] for start in range(0, len(order), _TABLE_ROWS)]
        prefetched: deque[Future[pa.Table]] = deque()
        for number, rows in enumerate(slices):
            prefetched.extend(
                self._pool.submit(gather, ahead)
                for ahead in slices[number + len(prefetched) : number + 2 * _THREADS]
            )
            yield prefetched.popleft().result(), cells[rows]

    def _spill(self) -> None:
        """Sort the rows in memory into a chunk, which is a temporary file mapped into memory."""
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(prefix="swath-")
            self._folder = Path(self._stack.enter_context(folder))
        path = self._folder / f"{len(self._chunks)}.arrow"
        out: pa.ipc.RecordBatchFileWriter | None = None
        for table, cells in self._sort_pending():
            rows = table.append_column(CELL, pa.array(cells, pa.int64()))
            out = out or pa.ipc.new_file(path, rows.schema)
            out.write_table(rows)
        if out is not None:
            out.close()
            with pa.memory_map(str(path)) as content:
                self._chunks.append(pa.ipc.open_file(content).read_all())


def _keys(rows: pa.Table) -> _Keys:
    """Return the keys of the rows of a chunk."""
    tile, score = (
        rows[name].to_numpy() if name in rows.column_names else None for name in ("tile", "score")
    )
    return rows[CELL].to_numpy(), tile, score


def _order(keys: Sequence[_Keys]) -> NDArray[np.int64]:
    """Return the indices (n,) of the rows of several parts in their order."""
    cells, *ties = (
        None if column[0] is None else np.concatenate(column) for column in zip(*keys, strict=True)
    )
    assert cells is not None  # noqa: S101 - narrows the type
    return spatial_order(cells, tile=ties[0], score=ties[1])


def spatial_order(
    cells: NDArray[np.int64],
    *,
    tile: NDArray[np.int64] | None = None,
    score: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """Return the indices (n,) of rows by cell, then by tile, then by descending score.

    Few rows have a cell in common, and a sort by one key is several times as fast.

    Args:
        cells: Cell of each row, (n,).
        tile: Number of the tile of each row, (n,); None if there are no tiles.
        score: Score of each row, (n,); None if there are no scores.
    """
    order = np.argsort(cells)
    ordered = cells[order]
    is_equal = ordered[1:] == ordered[:-1]
    tied = np.flatnonzero(np.append(is_equal, False) | np.append(False, is_equal))
    if len(tied):
        rows = order[tied]
        keys: list[NDArray[Any]] = [rows]
        if score is not None:
            keys.append(-score[rows])
        if tile is not None:
            keys.append(tile[rows])
        order[tied] = rows[np.lexsort([*keys, cells[rows]])]
    return order


def _take(rows: pa.Table, order: pa.Array) -> pa.Table:
    """Return rows by their indices; binary values of one size are taken five times as fast."""
    fixed = {
        number: _to_fixed_size(rows.column(number).chunk(0))
        for number, kind in enumerate(rows.schema.types)
        if pa.types.is_binary(kind) and rows.column(number).num_chunks
    }
    for number, values in fixed.items():
        rows = rows.set_column(number, rows.schema.field(number).with_type(values.type), values)
    taken = rows.take(order)
    for number, values in fixed.items():
        if pa.types.is_fixed_size_binary(values.type):
            field = taken.schema.field(number).with_type(pa.binary())
            taken = taken.set_column(number, field, taken.column(number).cast(pa.binary()))
    return taken


def _to_fixed_size(values: pa.Array) -> pa.Array:
    """Return binary values (n,) in a type of their size if all have the same, without a copy."""
    _, offsets, content = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    size = int(ends[1] - ends[0]) if len(values) else 0
    if not size or values.null_count or (np.diff(ends) != size).any():
        return values
    rows = content.slice(int(ends[0]), size * len(values))
    return pa.Array.from_buffers(pa.binary(size), len(values), [None, rows])


def _divide_curve(cells: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return cells at which to divide the curve, so that each part has about `_PART_ROWS` rows.

    Args:
        cells: Sorted cells of each chunk.
    """
    samples = np.sort(np.concatenate([chunk[::_SAMPLE_ROWS] for chunk in cells]))
    step = max(1, _PART_ROWS // _SAMPLE_ROWS)
    return np.unique(samples[step::step])


def _cut(chunk: pa.Table, edges: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield the rows of a sorted chunk in each part of the curve."""
    ends = np.searchsorted(chunk[CELL].to_numpy(), edges).tolist()
    for start, stop in zip([0, *ends], [*ends, chunk.num_rows], strict=True):
        yield chunk.slice(start, stop - start)
