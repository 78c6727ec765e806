"""Reading the tiles of a shard, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swath.dataset import Mask
from swath.errors import SceneChangedError, TransientError
from swath.scene import OpenScene
from swath.tiles import Grid, Tile

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TilePixels:
    """What was read of a tile, or why it was not."""

    tile: Tile
    pixels: NDArray[Any] | None
    """(bands, rows, cols) of the tile's window in the scene's dtype, of any memory layout."""
    valid: Mask | None
    """(rows, cols), True = valid; None where every pixel is."""
    error: Exception | None = None
    """Why there are no pixels."""


def read_tiles(
    scene: OpenScene,
    grid: Grid,
    bands: Sequence[int],
    numbers: Sequence[int],
    *,
    threads: int | None = None,  # noqa: ARG001
) -> Iterator[TilePixels]:
    """The tiles of those numbers, in their order.

    Raises:
        SceneChangedError: the object was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    for number in numbers:
        tile = grid.tile(number)
        try:
            pixels, valid = scene.read(tile.window, bands)
        except (SceneChangedError, TransientError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
            yield TilePixels(tile, None, None, error)
        else:
            yield TilePixels(tile, pixels, None if valid.all() else valid)
