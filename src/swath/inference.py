"""Tiles through a model: read, prepared, inferred in batches, and every one of them accounted for.

A tile that cannot be read, or that the model cannot answer for, is counted as failed with its
cause, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.decode import decode
from swath.detections import Detections
from swath.errors import ModelOutputError, SceneChangedError, SwathError, TransientError
from swath.merge import Seams
from swath.mlm import ModelDescription
from swath.payloads import TileCounts, TileFailure
from swath.runtime import Model
from swath.scaling import Pixels, scale
from swath.scene import OpenScene
from swath.tiles import Grid, Tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FAILURES = 20
"""How many failures are described; all are counted."""
_MAX_CAUSE = 500

Batch = Sequence[tuple[Tile, Pixels]]


@dataclass(slots=True, kw_only=True)
class Inference:
    """One scene through one model."""

    scene: OpenScene
    bands: Sequence[int]
    """Of the scene, numbered from 1, in the model's order."""
    grid: Grid
    description: ModelDescription
    model: Model
    tiles: TileCounts = TileCounts()  # noqa: RUF009 (immutable)
    failures: list[TileFailure] = field(default_factory=list)
    next_tile: int = 0
    """Every tile before this one is accounted for."""

    def run(self, numbers: Iterable[int]) -> Iterator[Detections]:
        """What the tiles see and own, a batch at a time, in the order of the tiles.

        Raises:
            SceneChangedError: the scene was replaced.
            TransientError: the scene could not be reached.
        """
        waiting: list[tuple[Tile, Pixels]] = []
        for number in numbers:
            tile = self.grid.tile(number)
            self.tiles += TileCounts(planned=1)
            if (pixels := self._read(tile)) is not None:
                waiting.append((tile, pixels))
            if len(waiting) == self.model.batch_size:
                self.next_tile = number + 1
                yield self._infer(waiting)
                waiting = []
        if waiting:
            self.next_tile = waiting[-1][0].index + 1
            yield self._infer(waiting)

    def _read(self, tile: Tile) -> Pixels | None:
        """A tile ready for the model, or None where there is nothing to show it."""
        try:
            pixels, valid = self.scene.read(tile.window, self.bands)
        except (SceneChangedError, TransientError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
            self._fail(tile, error)
            return None
        if not valid.any():
            self.tiles += TileCounts(skipped=1)
            return None
        return prepare(pixels, valid, self.description)

    def _infer(self, batch: Batch) -> Detections:
        """What a batch of tiles sees and owns; if it fails, each tile is tried alone."""
        try:
            raws = self._call(batch)
        except Exception as error:  # noqa: BLE001 (out of memory, a bug in the model, …)
            if len(batch) > 1:
                return Detections.concatenate([self._infer([one]) for one in batch])
            self._fail(batch[0][0], error)
            return Detections.empty()
        seen = [self._decode(tile, raw) for (tile, _), raw in zip(batch, raws, strict=True)]
        return Seams(self.grid).sort_out(Detections.concatenate(seen))

    def _call(self, batch: Batch) -> NDArray[np.float32]:
        """The model's output for each tile. The batch is filled up to the size the model takes."""
        size = self.model.batch_size
        stack = np.zeros((size, *batch[0][1].shape), dtype=np.float32)
        for place, (_, pixels) in zip(stack, batch, strict=False):
            place[...] = pixels
        raws = self.model(stack)
        if len(raws) != size:
            raise ModelOutputError(f"the model returned {len(raws)} results for {size} tiles")
        return raws[: len(batch)]

    def _decode(self, tile: Tile, raw: NDArray[np.float32]) -> Detections:
        """A tile's detections in scene px, clipped to what the tile saw."""
        try:
            box, score, label = decode(raw, self.description)
        except ModelOutputError as error:
            self._fail(tile, error)
            return Detections.empty()
        self.tiles += TileCounts(succeeded=1)
        x, y, width, height = tile.window
        low, high = np.array([x, y]), np.array([x + width, y + height])
        corner = np.array([tile.x, tile.y])
        start, end = box[:, :2] + corner, box[:, 2:] + corner
        centre = (start + end) / 2
        inside = ((centre >= low) & (centre <= high)).all(axis=1)
        clipped = np.concatenate([np.maximum(start, low), np.minimum(end, high)], axis=1)
        return Detections.of_tile(clipped, score, label, tile.index).take(inside)

    def _fail(self, tile: Tile, error: Exception) -> None:
        self.tiles += TileCounts(failed=1)
        if len(self.failures) < MAX_FAILURES:
            kind = "" if isinstance(error, SwathError) else f"{type(error).__name__}: "
            cause = f"{kind}{error}"[:_MAX_CAUSE]
            self.failures.append(
                TileFailure(tile=tile.index, column=tile.x, row=tile.y, cause=cause)
            )


def prepare(
    pixels: NDArray[Any], valid: NDArray[np.bool_], description: ModelDescription
) -> Pixels:
    """Pixels as the model takes them: padded to a whole tile, filled where not valid, scaled.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers.
        valid: (rows, cols), True = valid.
        description: which number stands for what is not valid, and the scaling.

    Returns:
        float32 (bands, tile_size, tile_size).
    """
    size = description.tile_size
    tile = np.full((len(pixels), size, size), description.fill_value, dtype=np.float32)
    rows, cols = valid.shape
    with np.errstate(over="ignore"):
        numbers = pixels.astype(np.float32)
    np.copyto(tile[:, :rows, :cols], numbers, where=valid & np.isfinite(numbers))
    return scale(tile, description.scaling)
