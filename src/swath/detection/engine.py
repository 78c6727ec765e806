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

from swath.detection.detections import Detections, TileResult
from swath.detection.tasks import Task, create_task
from swath.errors import ModelOutputError, ModelTimeoutError, OutOfMemoryError, SwathError
from swath.messages import TileCounts, TileFailure
from swath.models.runtimes.padding import out_of_range_pixels, pad
from swath.models.scaling import FiniteRange, finite_range
from swath.raster.invalid_cells import CellGrid, InvalidCells
from swath.raster.radiometry.sampling import SampleGrid
from swath.raster.radiometry.units import conversion, unit_warnings
from swath.raster.reader import TilePixels, read_tile, read_tiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model, Outputs
    from swath.raster.invalid_cells import CellCounts
    from swath.raster.radiometry.sampling import Samples
    from swath.raster.radiometry.units import Conversion
    from swath.raster.scene import Scene
    from swath.raster.tiles import Grid, Tile

MAX_DESCRIBED_FAILURES = 20
"""Number of failures that are described; all failures are counted."""
_MAX_CAUSE_CHARACTERS = 500
_MAX_QUEUED_BATCHES = 2
"""Number of batches that wait for a worker, or are done and not yet returned."""
MIN_TILES_PER_YIELD = 8
"""Minimum number of tiles whose detections are yielded together. Each call of `Task.keep_owned` has
a cost; for a single tile it is a hundredth of a small model's run time."""
_MAX_EMPTY_TILES = 256
"""Number of skipped or failed tiles after which a batch is passed on, to report progress."""


@dataclass(slots=True)
class _Batch:
    """Consecutive tiles, and those of them that the model gets."""

    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    valid_tiles: list[TilePixels] = field(default_factory=list)
    """Tiles that the model gets: those with a valid pixel."""
    empty_tiles: list[Tile] = field(default_factory=list)
    """Tiles that the model does not get: those without a valid pixel, or that cannot be read."""
    next_tile: int = 0
    """Number of the tile that follows the batch."""

    def add(self, tile_pixels: TilePixels, sample: Callable[[TilePixels], Samples] | None) -> None:
        """Count a tile; if it has a valid pixel, keep it for the model and sample it."""
        self.next_tile = tile_pixels.tile.index + 1
        if tile_pixels.pixels is None:
            self.tiles += TileCounts(planned=1, failed=1)
            self.failures.append(_failure(tile_pixels.tile, tile_pixels.error))
            self.empty_tiles.append(tile_pixels.tile)
        elif tile_pixels.valid is not None and not tile_pixels.valid.any():
            self.tiles += TileCounts(planned=1, skipped=1)
            self.empty_tiles.append(tile_pixels.tile)
        else:
            self.tiles += TileCounts(planned=1)
            self.valid_tiles.append(tile_pixels)
            if sample:
                self.samples.append(sample(tile_pixels))


@dataclass(frozen=True, slots=True)
class _BatchResult:
    """Results of a batch of tiles: detections, labels, counts and failures."""

    detections: Sequence[Detections]
    labels: Sequence[tuple[Tile, NDArray[np.uint8]]]
    """Tiles, and the class of each pixel (rows, cols) of their cores."""
    tiles: TileCounts
    failures: Sequence[TileFailure]
    samples: Sequence[Samples]
    invalid: Sequence[CellCounts]
    """Counts of the invalid pixels in the cores of the tiles."""
    next_tile: int


@dataclass(slots=True, kw_only=True)
class Inference:
    """Run of one model on one scene."""

    scene: Scene
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
    sample_grid: SampleGrid = field(init=False)
    """Grid of the positions where the scene is sampled."""
    task: Task = field(init=False)
    """Task of the model: decodes its outputs, and joins detections of neighboring tiles."""
    finite_range: FiniteRange = field(init=False)
    """Range of values that float32 holds after scaling."""
    invalid: InvalidCells = field(init=False)
    """Counts of the invalid pixels in the cores of the counted tiles. No pixel of a failed tile is
    valid, as the model gave no result for it."""
    _lost_values: dict[str, float] = field(init=False, default_factory=dict)
    """Value of greatest magnitude that float32 cannot hold, by band; empty if all are held."""
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        description = self.description
        self.task = create_task(description, self.grid)
        self.convert = conversion(self.scene.info, self.bands, description.bands, description.units)
        self.sample_grid = SampleGrid.for_scene(self.grid.width, self.grid.height)
        self.invalid = InvalidCells(CellGrid(self.grid.width, self.grid.height))
        self.finite_range = finite_range(description.scaling)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the units and values of the scene."""
        description = self.description
        info = self.scene.info
        problems = [*info.warnings]
        problems += unit_warnings(info, self.bands, description.bands, description.units)
        if self._lost_values:
            numbers = ", ".join(
                f"{name} has {number:g}" for name, number in self._lost_values.items()
            )
            problems.append(
                f"{self.scene.info.uri} has values that float32 cannot hold after scaling "
                f"({numbers}); the model received nodata instead. If they are nodata, declare them "
                "with gdal_edit.py -a_nodata"
            )
        return problems

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
        detections: list[Detections] = []
        tiles_since_yield = 0
        with closing(self._run_batches(list(numbers))) as results:
            for result in results:
                self._count(result)
                detections += result.detections
                tiles_since_yield += result.tiles.planned
                if tiles_since_yield >= MIN_TILES_PER_YIELD:
                    yield self._keep_owned(detections)
                    detections, tiles_since_yield = [], 0
        if tiles_since_yield:
            yield self._keep_owned(detections)

    def _count(self, result: _BatchResult) -> None:
        self.tiles += result.tiles
        self.failures += result.failures[: MAX_DESCRIBED_FAILURES - len(self.failures)]
        self.samples += result.samples
        self.invalid.add(result.invalid)
        self.next_tile = result.next_tile
        if self.on_labels:
            for tile, labels in result.labels:
                self.on_labels(tile, labels)

    def _run_batches(self, numbers: Sequence[int]) -> Generator[_BatchResult]:
        """Yield the results of batches, in the order of the tiles."""
        if len(numbers) != 1:
            yield from self._run_in_workers(numbers)
            return
        # A single tile has no other work to run beside it: threads would cost more than they save.
        # Most images sent to endpoints are one tile.
        batch = _Batch()
        batch.add(read_tile(self.scene, self.grid.tile(numbers[0]), self.bands), self._sampler)
        yield self._infer_batch(batch)

    def _run_in_workers(self, numbers: Sequence[int]) -> Generator[_BatchResult]:
        """Yield the workers' results in order, with enough batches queued to keep workers busy."""
        futures: deque[Future[_BatchResult]] = deque()
        pool = ThreadPoolExecutor(self.model.workers, thread_name_prefix="infer")
        try:
            with closing(self._batches(numbers)) as batches:
                for batch in batches:
                    futures.append(pool.submit(self._infer_batch, batch))
                    if len(futures) >= self.model.workers + _MAX_QUEUED_BATCHES:
                        yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(self, numbers: Sequence[int]) -> Generator[_Batch]:
        """Yield the tiles in batches of the model's current batch size."""
        batch = _Batch()
        with closing(read_tiles(self.scene, self.grid, self.bands, numbers)) as tiles:
            for tile_pixels in tiles:
                batch.add(tile_pixels, self._sampler)
                is_full = len(batch.valid_tiles) >= self.model.batch_size
                if is_full or batch.tiles.planned >= _MAX_EMPTY_TILES + len(batch.valid_tiles):
                    yield batch
                    batch = _Batch()
        if batch.tiles.planned:
            yield batch

    def _infer_batch(self, batch: _Batch) -> _BatchResult:
        """Return the results of a batch: runs the model and decodes its outputs, in a worker."""
        results: list[tuple[Tile, TileResult]] = []
        failures = list(batch.failures)
        cells = self.invalid.grid
        invalid: list[CellCounts | None] = [cells.count_all(tile) for tile in batch.empty_tiles]
        for tile_pixels, outputs in zip(
            batch.valid_tiles, self._run_model(batch.valid_tiles), strict=True
        ):
            result = self._decode(tile_pixels, outputs)
            if isinstance(result, TileResult):
                results.append((tile_pixels.tile, result))
                invalid.append(cells.count(tile_pixels.tile, tile_pixels.valid))
            else:
                failures.append(_failure(tile_pixels.tile, result))
                invalid.append(cells.count_all(tile_pixels.tile))
        counts = TileCounts(succeeded=len(results), failed=len(batch.valid_tiles) - len(results))
        return _BatchResult(
            detections=[result.detections for _, result in results if len(result.detections)],
            labels=[(tile, result.labels) for tile, result in results if result.labels is not None],
            tiles=batch.tiles + counts,
            failures=sorted(failures, key=lambda failure: failure.tile),
            samples=batch.samples,
            invalid=[counts for counts in invalid if counts],
            next_tile=batch.next_tile,
        )

    def _run_model(self, valid_tiles: Sequence[TilePixels]) -> list[Outputs | Exception]:
        """Return the model's outputs for each tile, or the exception that prevented them.

        If a batch fails, its halves are tried, and so on. So only the tile at fault is lost, and a
        batch that exceeds the device's memory may still run in parts.
        """
        if not valid_tiles:
            return []
        if len(valid_tiles) <= self.model.batch_size:
            try:
                return self._call_model(valid_tiles)
            except ModelTimeoutError:
                raise  # each further tile would take as long
            except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
                if len(valid_tiles) <= 1:
                    return [error]
                out_of_memory = isinstance(error, OutOfMemoryError)
            # Outside the handler, where nothing references the failed batch's memory any more.
            if out_of_memory:
                self._lower_batch_size(len(valid_tiles))
        middle = len(valid_tiles) // 2
        return self._run_model(valid_tiles[:middle]) + self._run_model(valid_tiles[middle:])

    def _call_model(self, valid_tiles: Sequence[TilePixels]) -> list[Outputs | Exception]:
        results = self.model([self._prepare(tile_pixels) for tile_pixels in valid_tiles])
        if len(results) != len(valid_tiles):
            raise ModelOutputError(
                f"the model returned {len(results)} results for {len(valid_tiles)} tiles"
            )
        return [*results]

    def _prepare(self, tile_pixels: TilePixels) -> NDArray[Any]:
        """Return a tile (bands, rows, cols), converted and padded as the model expects it."""
        assert tile_pixels.pixels is not None  # noqa: S101 (`_Batch.add` shows no others)
        size, fill_value = self.description.tile_size, self.description.fill_value
        pixels = self.convert(tile_pixels.pixels) if self.convert else tile_pixels.pixels
        tile = pad(
            pixels,
            tile_pixels.input_mask,
            size=size,
            fill_value=fill_value,
            limits=self.finite_range,
        )
        if tile is not pixels:
            self._record_lost_values(tile_pixels.pixels, pixels, tile_pixels.input_mask)
        return tile

    def _record_lost_values(
        self, pixels: NDArray[Any], converted: NDArray[Any], input_mask: NDArray[np.bool_] | None
    ) -> None:
        """Record the values of greatest magnitude, by band, that the model cannot be given."""
        lost_masks = out_of_range_pixels(pixels, converted, input_mask, self.finite_range)
        if lost_masks is None:
            return
        with self._lock:
            for name, band, is_lost in zip(self.description.bands, pixels, lost_masks, strict=True):
                largest = self._lost_values.get(name, 0.0)
                self._lost_values |= {name: max([largest, *map(float, band[is_lost])], key=abs)}

    @property
    def _sampler(self) -> Callable[[TilePixels], Samples] | None:
        return self._sample if self.description.expected else None

    def _sample(self, tile_pixels: TilePixels) -> Samples:
        assert tile_pixels.pixels is not None  # noqa: S101 (`_Batch.add` samples no others)
        tile = tile_pixels.tile
        return self.sample_grid.sample(
            tile_pixels.pixels, tile_pixels.input_mask, (tile.x, tile.y), tile.core, self.convert
        )

    def _lower_batch_size(self, tiles: int) -> None:
        """Lower the model's batch size below `tiles`, unless another worker has lowered it."""
        with self._lock:
            if self.model.batch_size >= tiles:
                self.model.shrink()

    def _decode(
        self, tile_pixels: TilePixels, outputs: Outputs | Exception
    ) -> TileResult | Exception:
        """Return the detections of a tile, or the exception that prevented them."""
        if isinstance(outputs, Exception):
            return outputs
        try:
            return self.task.decode(outputs, tile_pixels.tile, tile_pixels.valid)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
            return error

    def _keep_owned(self, detections: Sequence[Detections]) -> Detections:
        result = Detections.concatenate(detections)
        return self.task.keep_owned(result) if len(result) else result


def _failure(tile: Tile, error: Exception | None) -> TileFailure:
    error_name = "" if isinstance(error, SwathError) else f"{type(error).__name__}: "
    cause = f"{error_name}{error}"[:_MAX_CAUSE_CHARACTERS]
    return TileFailure(tile=tile.index, column=tile.x, row=tile.y, cause=cause)
