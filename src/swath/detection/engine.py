"""Run a model on the tiles of a scene, and count each tile as done, skipped or failed.

Four steps run concurrently: tiles are prefetched, padded and scaled, sent to the model, and the
model's outputs are decoded. The caller's thread takes tiles from the reader and submits them in
batches. The model's workers do the rest and share no state. Their results are returned in the order
of the tiles; the caller's thread counts the tiles and applies `Task.keep_owned`.

A tile that cannot be read, or on which the model fails, is counted as failed with its cause. The
other tiles continue.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.detection.detections import Detections, Seen
from swath.detection.tasks import Task, task_of
from swath.errors import ModelOutputError, ModelTimeoutError, OutOfMemoryError, SwathError
from swath.messages import TileCounts, TileFailure
from swath.models.runtimes.padding import lost, pad
from swath.models.scaling import Reach, reach_of
from swath.raster.radiometry.sampling import Lattice
from swath.raster.radiometry.units import conversion, unit_warnings
from swath.raster.reader import TilePixels, read_tile, read_tiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model, Outputs
    from swath.raster.radiometry.sampling import Samples
    from swath.raster.radiometry.units import Conversion
    from swath.raster.scene import OpenScene
    from swath.raster.tiles import Grid, Tile

MAX_FAILURES = 20
"""Number of failures that are described; all failures are counted."""
_MAX_CAUSE = 500
_WAITING = 2
"""Number of batches that wait for a worker, or are done and not yet returned."""
TOGETHER = 8
"""Least number of tiles whose detections are sorted out and returned together. Each call has a cost
of its own; for a single tile it is a hundredth of a small model's run time."""
_LOOKED_AT = 256
"""Number of skipped or failed tiles after which a batch is passed on, to report progress."""


@dataclass(slots=True)
class _Batch:
    """Consecutive tiles, and those of them that the model gets."""

    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    shown: list[TilePixels] = field(default_factory=list)
    """Tiles that the model gets: those with a valid pixel."""
    next_tile: int = 0
    """Number of the tile that follows the batch."""

    def add(self, read: TilePixels, sample: Callable[[TilePixels], Samples] | None) -> None:
        """Count a tile; if it has a valid pixel, keep it for the model and sample it."""
        self.next_tile = read.tile.index + 1
        if read.pixels is None:
            self.tiles += TileCounts(planned=1, failed=1)
            self.failures.append(_failure(read.tile, read.error))
        elif read.valid is not None and not read.valid.any():
            self.tiles += TileCounts(planned=1, skipped=1)
        else:
            self.tiles += TileCounts(planned=1)
            self.shown.append(read)
            if sample:
                self.samples.append(sample(read))


@dataclass(frozen=True, slots=True)
class _Found:
    """Results of a batch of tiles: detections, labels, counts and failures."""

    seen: Sequence[Detections]
    labels: Sequence[tuple[Tile, NDArray[np.uint8]]]
    """Tiles, and the class of each pixel (rows, cols) of their cores."""
    tiles: TileCounts
    failures: Sequence[TileFailure]
    samples: Sequence[Samples]
    next_tile: int


@dataclass(slots=True, kw_only=True)
class Inference:
    """Run of one model on one scene."""

    scene: OpenScene
    bands: Sequence[int]
    """Bands of the scene, numbered from 1, in the model's order."""
    grid: Grid
    description: ModelDescription
    model: Model
    on_labels: Callable[[Tile, NDArray[np.uint8]], None] | None = None
    """Called with a tile and the class of each pixel (rows, cols) of its core, in the order of the
    tiles. The thread that runs calls it before `run` yields the detections of those tiles. Only
    models with a mask have labels."""
    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    next_tile: int = 0
    """Number of the next tile: all tiles before it are counted."""
    samples: list[Samples] = field(default_factory=list)
    """Samples of the counted tiles, if the package describes the expected values of its bands."""
    convert: Conversion | None = field(init=False)
    """Conversion of the scene's values to the package's unit; None if they have that unit."""
    lattice: Lattice = field(init=False)
    """Lattice of the positions where the scene is sampled."""
    task: Task = field(init=False)
    """Task of the model: decodes its outputs, and joins detections of neighboring tiles."""
    reach: Reach = field(init=False)
    """Range of values that float32 holds after scaling."""
    _lost: dict[str, float] = field(init=False, default_factory=dict)
    """Value of greatest magnitude that float32 cannot hold, by band; empty if all are held."""
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        known = self.description
        self.task = task_of(known, self.grid)
        self.convert = conversion(self.scene.info, self.bands, known.bands, known.units)
        self.lattice = Lattice.over(self.grid.width, self.grid.height)
        self.reach = reach_of(known.scaling)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the units and values of the scene."""
        known = self.description
        odd = unit_warnings(self.scene.info, self.bands, known.bands, known.units)
        if self._lost:
            numbers = ", ".join(f"{name} has {number:g}" for name, number in self._lost.items())
            odd.append(
                f"{self.scene.info.uri} has numbers that float32 cannot hold once they are scaled "
                f"({numbers}), which the model was shown as nodata; if they are nodata, say so "
                "with gdal_edit.py -a_nodata"
            )
        return odd

    def run(self, numbers: Iterable[int]) -> Iterator[Detections]:
        """Yield the detections that tiles report, a few tiles at a time, in the order of tiles.

        At each yield, `tiles`, `failures` and `next_tile` cover the tiles up to that point, and
        none that was prefetched. Closing the generator ends all its threads.

        Args:
            numbers: Tile numbers, in increasing order.

        Raises:
            SceneChangedError: The scene was replaced.
            TransientError: The scene could not be reached.
            ModelTimeoutError: The model did not answer in time.
        """
        seen: list[Detections] = []
        since = 0
        with closing(self._answered(list(numbers))) as answers:
            for found in answers:
                self._count(found)
                seen += found.seen
                since += found.tiles.planned
                if since >= TOGETHER:
                    yield self._keep_owned(seen)
                    seen, since = [], 0
        if since:
            yield self._keep_owned(seen)

    def _count(self, found: _Found) -> None:
        self.tiles += found.tiles
        self.failures += found.failures[: MAX_FAILURES - len(self.failures)]
        self.samples += found.samples
        self.next_tile = found.next_tile
        if self.on_labels:
            for tile, labels in found.labels:
                self.on_labels(tile, labels)

    def _answered(self, numbers: Sequence[int]) -> Generator[_Found]:
        """Yield the results of batches, in the order of the tiles."""
        if len(numbers) != 1:
            yield from self._in_order(numbers)
            return
        # A single tile has no other work to run beside it: threads would cost more than they save.
        # Most images sent to endpoints are one tile.
        batch = _Batch()
        batch.add(read_tile(self.scene, self.grid.tile(numbers[0]), self.bands), self._sampler)
        yield self._infer(batch)

    def _in_order(self, numbers: Sequence[int]) -> Generator[_Found]:
        """Yield the workers' results in order, with enough batches queued to keep workers busy."""
        coming: deque[Future[_Found]] = deque()
        pool = ThreadPoolExecutor(self.model.workers, thread_name_prefix="infer")
        try:
            with closing(self._batches(numbers)) as batches:
                for batch in batches:
                    coming.append(pool.submit(self._infer, batch))
                    if len(coming) >= self.model.workers + _WAITING:
                        yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(self, numbers: Sequence[int]) -> Generator[_Batch]:
        """Yield the tiles in batches of the model's current batch size."""
        batch = _Batch()
        with closing(read_tiles(self.scene, self.grid, self.bands, numbers)) as tiles:
            for read in tiles:
                batch.add(read, self._sampler)
                full = len(batch.shown) >= self.model.batch_size
                if full or batch.tiles.planned >= _LOOKED_AT + len(batch.shown):
                    yield batch
                    batch = _Batch()
        if batch.tiles.planned:
            yield batch

    def _infer(self, batch: _Batch) -> _Found:
        """Return the results of a batch: runs the model and decodes its outputs, in a worker."""
        seen: list[tuple[Tile, Seen]] = []
        failures = list(batch.failures)
        for read, answer in zip(batch.shown, self._answers(batch.shown), strict=True):
            one = self._detect(read, answer)
            if isinstance(one, Seen):
                seen.append((read.tile, one))
            else:
                failures.append(_failure(read.tile, one))
        counts = TileCounts(succeeded=len(seen), failed=len(batch.shown) - len(seen))
        return _Found(
            seen=[one.detections for _, one in seen if len(one.detections)],
            labels=[(tile, one.labels) for tile, one in seen if one.labels is not None],
            tiles=batch.tiles + counts,
            failures=sorted(failures, key=lambda failure: failure.tile),
            samples=batch.samples,
            next_tile=batch.next_tile,
        )

    def _answers(self, shown: Sequence[TilePixels]) -> list[Outputs | Exception]:
        """Return the model's outputs for each tile, or the exception that prevented them.

        If a batch fails, its halves are tried, and so on. So only the tile at fault is lost, and a
        batch that exceeds the device's memory may still run in parts.
        """
        if not shown:
            return []
        if len(shown) <= self.model.batch_size:
            try:
                return self._call(shown)
            except ModelTimeoutError:
                raise  # each further tile would take as long
            except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
                if len(shown) <= 1:
                    return [error]
                out_of_memory = isinstance(error, OutOfMemoryError)
            # Outside the handler, where nothing references the failed batch's memory any more.
            if out_of_memory:
                self._shrink(len(shown))
        half = len(shown) // 2
        return self._answers(shown[:half]) + self._answers(shown[half:])

    def _call(self, shown: Sequence[TilePixels]) -> list[Outputs | Exception]:
        answers = self.model([self._prepare(read) for read in shown])
        if len(answers) != len(shown):
            raise ModelOutputError(
                f"the model returned {len(answers)} results for {len(shown)} tiles"
            )
        return [*answers]

    def _prepare(self, read: TilePixels) -> NDArray[Any]:
        """Return a tile (bands, rows, cols), converted and padded as the model expects it."""
        assert read.pixels is not None  # noqa: S101 (`_Batch.add` shows no others)
        size, fill_value = self.description.tile_size, self.description.fill_value
        pixels = self.convert(read.pixels) if self.convert else read.pixels
        tile = pad(pixels, read.shown, size=size, fill_value=fill_value, reach=self.reach)
        if tile is not pixels:
            self._note_lost(read.pixels, pixels, read.shown)
        return tile

    def _note_lost(
        self, pixels: NDArray[Any], converted: NDArray[Any], shown: NDArray[np.bool_] | None
    ) -> None:
        """Record the values of greatest magnitude, by band, that the model cannot be given."""
        where = lost(pixels, converted, shown, self.reach)
        if where is None:
            return
        with self._lock:
            for name, band, there in zip(self.description.bands, pixels, where, strict=True):
                known = self._lost.get(name, 0.0)
                self._lost |= {name: max([known, *map(float, band[there])], key=abs)}

    @property
    def _sampler(self) -> Callable[[TilePixels], Samples] | None:
        return self._sample if self.description.expected else None

    def _sample(self, read: TilePixels) -> Samples:
        assert read.pixels is not None  # noqa: S101 (`_Batch.add` samples no others)
        tile = read.tile
        return self.lattice.take(read.pixels, read.shown, (tile.x, tile.y), tile.core, self.convert)

    def _shrink(self, tiles: int) -> None:
        """Lower the model's batch size below `tiles`, unless another worker has lowered it."""
        with self._lock:
            if self.model.batch_size >= tiles:
                self.model.shrink()

    def _detect(self, read: TilePixels, answer: Outputs | Exception) -> Seen | Exception:
        """Return the detections of a tile, or the exception that prevented them."""
        if isinstance(answer, Exception):
            return answer
        try:
            return self.task.detect(answer, read.tile, read.valid)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
            return error

    def _keep_owned(self, seen: Sequence[Detections]) -> Detections:
        found = Detections.concatenate(seen)
        return self.task.keep_owned(found) if len(found) else found


def _failure(tile: Tile, error: Exception | None) -> TileFailure:
    kind = "" if isinstance(error, SwathError) else f"{type(error).__name__}: "
    cause = f"{kind}{error}"[:_MAX_CAUSE]
    return TileFailure(tile=tile.index, column=tile.x, row=tile.y, cause=cause)
