"""The threads and the files of one reading, which end with it."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from swath.raster.dataset import Dataset, open_dataset
from swath.raster.files.byte_ranges import File, open_file
from swath.raster.reader.memory_check import Need, fit_threads

if TYPE_CHECKING:
    from types import TracebackType

_FETCHERS = 4
"""Requests to S3 at once."""


class Workers:
    """Threads, started as they are needed."""

    def __init__(self, decoders: int) -> None:
        self._count = decoders
        self._needs: dict[str, Need] = {}
        self._files = ExitStack()
        self._pools: list[Executor] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop the work that is not begun, wait for the rest, close the files."""
        with self._files:
            for pool in self._pools:  # all of them first: some wait for what others do
                pool.shutdown(wait=False, cancel_futures=True)
            for pool in self._pools:
                pool.shutdown()

    def claim(self, dataset: Dataset, need: Need) -> None:
        """Set aside what reading a dataset takes; there are fewer threads where memory is short.

        To be called before there is a thread that reads it.

        Raises:
            SceneError: there is not enough memory for one thread.
        """
        self._needs[dataset.uri] = need
        together = sum(self._needs.values(), Need(0, 0))
        self._count = fit_threads(dataset, together, self._count)

    @cached_property
    def decoders(self) -> Executor:
        """Decode blocks."""
        return self._pool(self._count, "decode")

    @cached_property
    def _fetchers(self) -> Executor:
        return self._pool(_FETCHERS, "fetch")

    def handles(self, dataset: Dataset) -> list[Dataset]:
        """A dataset as often as GDAL can be made to read it side by side."""
        more = range(self._count - 1)
        again = (open_dataset(dataset.uri, dataset.etag) for _ in more)
        return [dataset, *(self._files.enter_context(opened) for opened in again)]

    def readers(self, count: int) -> Executor:
        """Wait for GDAL."""
        return self._pool(count, "read")

    def open(self, dataset: Dataset) -> File:
        """The file of a dataset.

        Raises:
            SceneChangedError: it is no longer there.
        """
        file = open_file(dataset.uri, dataset.etag, self._fetchers)
        self._files.callback(file.close)
        return file

    def _pool(self, count: int, purpose: str) -> Executor:
        pool = ThreadPoolExecutor(count, thread_name_prefix=f"swath-{purpose}")
        self._pools.append(pool)
        return pool
