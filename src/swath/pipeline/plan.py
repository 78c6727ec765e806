"""The plan of a run: all that its shards and its merge need to know."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from swath import storage
from swath._types import Ints, Mask
from swath.errors import PayloadError
from swath.messages import (
    PLAN_VERSION,
    Backend,
    Georeference,
    ModelRef,
    Payload,
    RunOptions,
    SceneRef,
    TileCounts,
    is_readable_plan,
)
from swath.models.output_spec import Answer
from swath.pipeline.shard_layout import ShardLayout
from swath.raster.radiometry.comparison import Expected
from swath.raster.scene_info import Placed
from swath.raster.tiles import Grid
from swath.storage.checked_json import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


class Plan(Payload, frozen=True, kw_only=True):
    """All that a shard or the merge needs to know of a run.

    The merge opens neither the scene nor the package: what it needs of them is here, as they were
    when the run was planned.
    """

    version: int = PLAN_VERSION
    run_id: str
    scene: SceneRef
    georeference: Georeference
    """The place of the scene on Earth."""
    model: ModelRef
    answer: Answer
    """What the model's outputs are."""
    bands: tuple[str, ...]
    """The names of the model's bands."""
    expected: Expected | None
    """What the bands of the model's training scenes are like, if its package says so."""
    options: RunOptions
    backend: Backend
    width: int
    height: int
    tile_size: int
    overlap: int
    column_cuts: tuple[int, ...]
    """Where shards start along x, in tiles, and at the end how many tiles there are."""
    row_cuts: tuple[int, ...]
    """The same along y."""
    shards: tuple[int, ...]
    """Of the rectangles between the cuts, numbered in raster order, those with a tile to infer."""
    skipped: str = ""
    """A bit for each tile, set where no pixel is valid: NumPy's packbits, zlib, base64."""
    skipped_count: int = 0

    @property
    def placed(self) -> Placed:
        """The scene's size and its place on Earth."""
        return Placed.by(
            self.georeference, uri=self.scene.uri, width=self.width, height=self.height
        )

    @property
    def grid(self) -> Grid:
        """Where the tiles are."""
        return Grid(self.width, self.height, self.tile_size, self.overlap)

    @property
    def layout(self) -> str:
        """What tells this plan's shards from those of another plan of the same run.

        A run that is begun again may be planned by other settings, or by another version of swath;
        what shard 7 was then is not what it is now.
        """
        parts: list[Any] = [self.width, self.height, self.tile_size, self.overlap]
        parts += [self.column_cuts, self.row_cuts, self.shards, self.skipped]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def passed_over(self) -> TileCounts:
        """The tiles that are in no shard's receipt."""
        return TileCounts(planned=self.skipped_count, skipped=self.skipped_count)

    @property
    def tiles_to_infer(self) -> int:
        """The number of tiles in all shards."""
        return self.grid.count - self.skipped_count

    @property
    def shard_layout(self) -> ShardLayout:
        """The rectangles of tiles that shards are."""
        return ShardLayout(self.column_cuts, self.row_cuts)

    def shard_of(self, tiles: ArrayLike) -> Ints:
        """The shards that hold tiles, int64, shaped like them; -1 where all of one is skipped."""
        number = self.shard_layout.rectangle_of(tiles)
        known = np.asarray(self.shards, dtype=np.int64)
        place = np.searchsorted(known, number)
        found = np.append(known, -1)[place] == number
        return np.where(found, place, -1)

    def holds(self, shard: int) -> Callable[[Ints], Mask]:
        """Tells of tiles whether the shard holds them."""
        return lambda tiles: np.asarray(self.shard_of(tiles) == shard)

    def tiles(self, shard: int) -> Ints:
        """The numbers of a shard's tiles, increasing, without those passed over.

        Raises:
            PayloadError: the plan has no such shard.
        """
        if not 0 <= shard < len(self.shards):
            raise PayloadError(
                f"run {self.run_id} has {len(self.shards)} shards, counted from 0; "
                f"there is no shard {shard}"
            )
        tiles = self.shard_layout.tiles(self.shards[shard])
        return tiles[~_unpack_flags(self.skipped)[tiles]] if self.skipped else tiles

    def count_pixels(self, shard: int, *, from_tile: int) -> int:
        """Count the pixels in the cores of a shard's tiles, from a tile on."""
        tiles = self.tiles(shard)
        x0, y0, x1, y1 = self.grid.cores(tiles[tiles >= from_tile]).T
        return int(((x1 - x0) * (y1 - y0)).sum())


def read_plan(uri: str) -> Plan:
    """Read the plan of a run.

    Raises:
        PayloadError: there is none, or not one that this version of swath can read.
    """
    try:
        data = storage.read_json(uri)
        if is_readable_plan(data):
            return Plan.from_json(checked(data))
    except FileNotFoundError:
        raise PayloadError(
            f"there is no plan at {uri}; drop the scene again, and it is planned anew"
        ) from None
    except (ValueError, PayloadError) as error:
        raise PayloadError(
            f"the plan {uri} is damaged: {error}; drop the scene again, and it is planned anew"
        ) from None
    raise PayloadError(
        f"the plan {uri} was written by another version of swath; "
        "drop the scene again, and its run is planned anew"
    )


def pack_flags(flags: Mask) -> str:
    """Return a flag of each tile as `Plan.skipped` has it."""
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode()


def _unpack_flags(text: str) -> Mask:
    """The flags, and up to seven that are not set."""
    packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(packed).astype(np.bool_)
