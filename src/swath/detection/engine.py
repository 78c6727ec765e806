"""Tiles through a model, and every one of them accounted for.

Four things go on at once: tiles are read ahead, padded and scaled, shown to the model, and its
answers are read. The caller's thread takes tiles from the reader and sends them off in batches; the
model's workers do the rest and share nothing; what they find comes back in the order of the tiles,
and is added up and sorted out in the caller's thread.

A tile that cannot be read, or that the model cannot answer for, is counted as failed with its
cause, and the others go on.
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
from swath.raster.reader import TilePixels, read_single, read_tiles

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
"""How many failures are described; all are counted."""
_MAX_CAUSE = 500
_WAITING = 2
"""How many batches are ready, or done and not yet handed out, beside those with a worker."""
TOGETHER = 8
"""Tiles whose detections are sorted out and handed out together, at least: each time has its price,
which for a tile alone is a hundredth of what a small model costs."""
_LOOKED_AT = 256
"""How many tiles are looked at before progress is told, though the model be shown none of them."""


@dataclass(slots=True)
class _Batch:
    """Tiles that follow one another, and of those the ones to show the model."""

    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    shown: list[TilePixels] = field(default_factory=list)
    next_tile: int = 0

    def add(self, read: TilePixels, sample: Callable[[TilePixels], Samples] | None) -> None:
        """Count a tile; show it, and sample it, if it has a valid pixel."""
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
    """What a batch of tiles shows, and what became of each of them."""

    seen: Sequence[Detections]
    labels: Sequence[tuple[Tile, NDArray[np.uint8]]]
    tiles: TileCounts
    failures: Sequence[TileFailure]
    samples: Sequence[Samples]
    next_tile: int


@dataclass(slots=True, kw_only=True)
class Inference:
    """One scene through one model."""

    scene: OpenScene
    bands: Sequence[int]
    """Of the scene, numbered from 1, in the model's order."""
    grid: Grid
    description: ModelDescription
    model: Model
    on_labels: Callable[[Tile, NDArray[np.uint8]], None] | None = None
    """Told of each pixel's class in a tile's core, tile by tile in their order, before `run` hands
    out the detections of those tiles; in the thread that runs. Only of models that say it."""
    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    next_tile: int = 0
    """Every tile before this one is accounted for."""
    samples: list[Samples] = field(default_factory=list)
    """Samples of those tiles, where the package says what to expect of its bands."""
    convert: Conversion | None = field(init=False)
    """Brings the scene's numbers to the unit of the package; None where they are in it."""
    lattice: Lattice = field(init=False)
    """Where the samples lie."""
    task: Task = field(init=False)
    """How the model's answers are read, and how neighbours' are joined."""
    reach: Reach = field(init=False)
    """The numbers that float32 holds once they are scaled."""
    _lost: dict[str, float] = field(init=False, default_factory=dict)
    """The greatest number that float32 cannot hold, by band; none where all are held."""
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        known = self.description
        self.task = task_of(known, self.grid)
        self.convert = conversion(self.scene.info, self.bands, known.bands, known.units)
        self.lattice = Lattice.over(self.grid.width, self.grid.height)
        self.reach = reach_of(known.scaling)

    @property
    def warnings(self) -> list[str]:
        """A sentence about each oddity in the units and the numbers of the scene."""
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
        """What the tiles see and own, a few tiles at a time, in their order.

        Each time, `tiles`, `failures` and `next_tile` speak of the tiles up to there, and of
        none that was read ahead. A generator that is closed leaves no thread behind.

        Args:
            numbers: of tiles, increasing.

        Raises:
            SceneChangedError: the scene was replaced.
            TransientError: the scene could not be reached.
            ModelTimeoutError: the model did not answer.
        """
        seen: list[Detections] = []
        since = 0
        with closing(self._answered(list(numbers))) as answers:
            for found in answers:
                self._count(found)
                seen += found.seen
                since += found.tiles.planned
                if since >= TOGETHER:
                    yield self._sort_out(seen)
                    seen, since = [], 0
        if since:
            yield self._sort_out(seen)

    def _count(self, found: _Found) -> None:
        self.tiles += found.tiles
        self.failures += found.failures[: MAX_FAILURES - len(self.failures)]
        self.samples += found.samples
        self.next_tile = found.next_tile
        if self.on_labels:
            for tile, labels in found.labels:
                self.on_labels(tile, labels)

    def _answered(self, numbers: Sequence[int]) -> Generator[_Found]:
        """What is found, in the order of the tiles."""
        if len(numbers) != 1:
            yield from self._in_order(numbers)
            return
        # A tile alone has nothing to overlap with: threads would cost more than they save, and
        # endpoints are mostly sent images that are one tile.
        batch = _Batch()
        batch.add(read_single(self.scene, self.grid.tile(numbers[0]), self.bands), self._sampler)
        yield self._infer(batch)

    def _in_order(self, numbers: Sequence[int]) -> Generator[_Found]:
        """What the workers find, as many batches ahead as keep them busy."""
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
        """The tiles in batches of the size that the model takes now."""
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
        """What a batch shows: all that a worker does."""
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
        """The model's outputs for each tile, or why there are none.

        If a batch fails, its halves are tried, and so on: so only the tile that is at fault is
        lost, and what does not fit the device's memory at once may fit it in parts.
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
            # Out here, where nothing holds on to the failed batch's memory any more.
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
        """A tile as the model takes it."""
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
        """Remember the greatest numbers that the model cannot be shown."""
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
        """Have the model take fewer than so many tiles, unless another worker has seen to it."""
        with self._lock:
            if self.model.batch_size >= tiles:
                self.model.shrink()

    def _detect(self, read: TilePixels, answer: Outputs | Exception) -> Seen | Exception:
        """What a tile shows, or why that cannot be told."""
        if isinstance(answer, Exception):
            return answer
        try:
            return self.task.detect(answer, read.tile, read.valid)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
            return error

    def _sort_out(self, seen: Sequence[Detections]) -> Detections:
        found = Detections.concatenate(seen)
        return self.task.sort_out(found) if len(found) else found


def _failure(tile: Tile, error: Exception | None) -> TileFailure:
    kind = "" if isinstance(error, SwathError) else f"{type(error).__name__}: "
    cause = f"{kind}{error}"[:_MAX_CAUSE]
    return TileFailure(tile=tile.index, column=tile.x, row=tile.y, cause=cause)
