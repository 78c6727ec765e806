"""Own the threads and the files of one `read_tiles` call, and close them when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from swath.raster.dataset import PinnedDataset, open_dataset
from swath.raster.files.byte_ranges import File, open_file
from swath.raster.reader.memory_check import MemoryNeed, fit_threads

if TYPE_CHECKING:
    from types import TracebackType

    from swath._types import Ints
    from swath.raster.reader.block_cache import BlockSource

_FETCH_THREADS = 4
"""Number of concurrent requests to S3."""


class Workers:
    """Thread pools and open files of one read, created on first use.

    Args:
        decoders: Number of threads that decode; fewer are used if too little memory is free.
    """

    def __init__(self, decoders: int) -> None:
        self._thread_count = decoders
        self._needs: dict[tuple[str, str], MemoryNeed] = {}
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
        """Cancel pending work, wait for running work, and close the files."""
        with self._files:
            for pool in self._pools:  # cancel in all pools first: some wait for others
                pool.shutdown(wait=False, cancel_futures=True)
            for pool in self._pools:
                pool.shutdown()

    def reserve_memory(
        self, dataset: PinnedDataset, need: MemoryNeed, *, purpose: str = "blocks"
    ) -> None:
        """Reserve the memory for reading a dataset, and use fewer threads if too little is free.

        Call it before any thread reads the dataset.

        Args:
            dataset: Dataset to read.
            need: Memory that reading it takes.
            purpose: Name of what the memory is for; another need of the same name is replaced.

        Raises:
            SceneError: The free memory does not suffice for one thread.
        """
        self._needs[dataset.uri, purpose] = need
        total = sum(self._needs.values(), MemoryNeed(0, 0))
        self._thread_count = fit_threads(dataset, total, self._thread_count)

    @property
    def thread_count(self) -> int:
        """Number of threads for which the memory that was reserved so far suffices."""
        return self._thread_count

    @cached_property
    def decoder_pool(self) -> Executor:
        """Pool of the threads that decode blocks; it has as many as memory was reserved for."""
        return _DeferredPool(lambda: self._decoders)

    @cached_property
    def _decoders(self) -> Executor:
        return self._create_pool(self._thread_count, "decode")

    @cached_property
    def resampler_pool(self) -> Executor:
        """Pool of the threads that resample, which do not wait for blocks that are read ahead."""
        return self._create_pool(self._thread_count, "resample")

    @cached_property
    def _fetcher_pool(self) -> Executor:
        return self._create_pool(_FETCH_THREADS, "fetch")

    def open_handles(self, dataset: PinnedDataset) -> list[PinnedDataset]:
        """Return the dataset and further handles of its file, one for each thread."""
        more = range(self._thread_count - 1)
        reopened = (open_dataset(dataset.uri, dataset.etag) for _ in more)
        return [dataset, *(self._files.enter_context(opened) for opened in reopened)]

    def new_reader_pool(self, count: int) -> Executor:
        """Return a new pool of threads that read with GDAL."""
        return self._create_pool(count, "read")

    def open(self, dataset: PinnedDataset) -> File:
        """Open the file of a dataset for reading bytes; it is closed with these workers.

        Raises:
            SceneError: The file cannot be opened.
            SceneChangedError: The file is no longer there.
        """
        file = open_file(dataset.uri, dataset.etag, self._fetcher_pool)
        self._files.callback(file.close)
        return file

    def note_unknown_reads(self, datasets: Sequence[PinnedDataset]) -> None:
        """Do nothing; a subclass may record that GDAL reads files, window by window."""

    def note_source(
        self, dataset: PinnedDataset, source: BlockSource, windows: Ints, layers: int
    ) -> None:
        """Do nothing; a subclass may record which blocks will be read.

        Args:
            dataset: Dataset that the source reads.
            source: Source of the dataset's blocks.
            windows: Windows (n, 4) x, y, width and height in px that will be read.
            layers: Number of layers that will be read: bands, and a mask.
        """

    def _create_pool(self, count: int, purpose: str) -> Executor:
        pool = ThreadPoolExecutor(count, thread_name_prefix=f"swath-{purpose}")
        self._pools.append(pool)
        return pool


class _DeferredPool(Executor):
    """Pool that is created by its first task, after all files have reserved their memory."""

    def __init__(self, create: Callable[[], Executor]) -> None:
        self._create = create

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task to the pool."""
        return self._create().submit(function, *args, **kwargs)
