"""Batch the tiles of concurrent requests for one model.

An idle device never waits for a batch to fill: a tile that arrives while the device is idle runs at
once, alone if necessary. Tiles that arrive during a computation are queued. They run together when
the device is free, or earlier as soon as they fill a batch. Batches therefore grow with the load,
and batching adds no latency.

swath has its own batcher for two reasons. The batching of servers (TorchServe, Triton, Ray Serve)
waits for a fixed time before each batch, and each server adds a process. With this batcher, sixteen
clients get 2.2 times as many responses per second as without batching. A single client waits no
longer than without it. `make bench ARGS=serving` repeats the measurement.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.errors import ModelOutputError, OutOfMemoryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.messages import Engine
    from swath.models.runtimes.base import Model, Outputs


@dataclass(slots=True, eq=False)
class _Call:
    """Tiles of one caller, with the model's outputs so far."""

    tiles: Sequence[NDArray[Any]]
    outputs: list[Outputs | None]
    remaining: int
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def from_tiles(cls, tiles: Sequence[NDArray[Any]]) -> _Call:
        return cls(tiles, [None] * len(tiles), len(tiles))

    def result(self) -> list[Outputs]:
        """Wait for the outputs and return one for each tile; raise the model's error."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return [output for output in self.outputs if output is not None]


@dataclass(frozen=True, slots=True)
class _QueuedTile:
    """One queued tile of a call."""

    call: _Call
    index: int

    @property
    def tile(self) -> NDArray[Any]:
        return self.call.tiles[self.index]


class Batcher:
    """Model that any number of threads may call concurrently, as if each were the only caller.

    The batcher calls the model from as many threads as the model has workers. These threads are
    permanent, so a runtime's state per thread is created only once.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._changed = threading.Condition()
        self._queue: deque[_QueuedTile] = deque()
        self._running = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run_thread, name=f"batch-{number}", daemon=True)
            for number in range(model.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def batch_size(self) -> int:
        """Number of tiles in the model's largest batch."""
        return self._model.batch_size

    @property
    def workers(self) -> int:
        """Number of threads from which one caller can keep the model busy."""
        return self._model.workers

    @property
    def engine(self) -> Engine | None:
        """Engine that computes the model's outputs."""
        return self._model.engine

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's output for each tile; a batch may include tiles of other callers.

        Args:
            tiles: Tiles, each (bands, size, size).

        Raises:
            Exception: The model's error for these tiles alone.
            RuntimeError: The batcher is closed.
        """
        call = _Call.from_tiles(tiles)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._queue.extend(_QueuedTile(call, index) for index in range(len(tiles)))
            self._changed.notify()
        return call.result()

    def shrink(self) -> bool:
        """Halve the batch size; return False if it is at its minimum."""
        with self._changed:
            return self._model.shrink()

    def close(self) -> None:
        """Process the queued tiles, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run_thread(self) -> None:
        while batch := self._next_batch():
            try:
                self._process(batch)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _next_batch(self) -> list[_QueuedTile]:
        """Wait for the next batch and return its tiles; empty once the batcher is closed."""
        with self._changed:
            self._changed.wait_for(self._has_batch)
            batch = self._take_batch()
            self._running += bool(batch)
            # Other threads may process the remaining tiles, or end.
            self._changed.notify()
            return batch

    def _has_batch(self) -> bool:
        # A partial batch gains nothing from queueing behind a running one: the device would not
        # start it, and tiles that arrive meanwhile could not join it.
        if not self._queue:
            return self._closed
        return not self._running or len(self._queue) >= self._model.batch_size

    def _take_batch(self) -> list[_QueuedTile]:
        """Return the earliest queued tiles of one dtype, at most one batch.

        With mixed dtypes, one caller's floating-point tiles would convert all other callers' bytes.
        """
        batch: list[_QueuedTile] = []
        while self._queue and len(batch) < self._model.batch_size:
            if batch and self._queue[0].tile.dtype != batch[0].tile.dtype:
                break
            batch.append(self._queue.popleft())
        return batch

    def _process(self, batch: list[_QueuedTile]) -> None:
        """Run the model on a batch; if it fails, run each caller's tiles separately.

        A tile that the model rejects therefore fails only its own call.
        """
        try:
            outputs = self._run_model(batch)
        except Exception as error:  # noqa: BLE001 (the caller receives any error)
            failed: Exception = error
        else:
            self._deliver(batch, outputs)
            return
        # Outside the except block, no reference keeps the failed batch in memory.
        parts = list(_group_by_call(batch))
        if len(parts) == 1:
            self._fail(batch, failed)
            return
        if isinstance(failed, OutOfMemoryError):
            self._shrink_below(len(batch))
        for part in parts:
            self._process(part)

    def _run_model(self, batch: list[_QueuedTile]) -> list[Outputs]:
        outputs = self._model([queued.tile for queued in batch])
        if len(outputs) != len(batch):
            raise ModelOutputError(
                f"the model returned {len(outputs)} results for {len(batch)} tiles"
            )
        return outputs

    def _shrink_below(self, tiles: int) -> None:
        """Reduce the batch size below `tiles`, unless another thread has done so already."""
        with self._changed:
            if self._model.batch_size >= tiles:
                self._model.shrink()

    def _deliver(self, batch: list[_QueuedTile], outputs: Sequence[Outputs]) -> None:
        for queued, output in zip(batch, outputs, strict=True):
            queued.call.outputs[queued.index] = output
        self._count_down(batch)

    def _fail(self, batch: list[_QueuedTile], error: Exception) -> None:
        for queued in batch:
            queued.call.error = error
        self._count_down(batch)

    def _count_down(self, batch: list[_QueuedTile]) -> None:
        # A call's tiles may be in several batches, which end in different threads.
        with self._changed:
            for queued in batch:
                queued.call.remaining -= 1
                if not queued.call.remaining:
                    queued.call.done.set()


def _group_by_call(batch: list[_QueuedTile]) -> Iterator[list[_QueuedTile]]:
    """Yield the tiles of each call, in the order of the calls."""
    parts: dict[int, list[_QueuedTile]] = {}
    for queued in batch:
        parts.setdefault(id(queued.call), []).append(queued)
    yield from parts.values()
