"""Define the plan of a run, which has all inputs of the run's shards and merge."""

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
    UNKNOWN_ACQUISITION,
    Acquisition,
    Backend,
    Georeference,
    ModelRef,
    Payload,
    RunOptions,
    SceneRef,
    TileCounts,
    is_readable_plan,
)
from swath.models.output_spec import OutputSpec
from swath.pipeline.shard_layout import ShardLayout
from swath.raster.assets.stack import BandStack, pixel_scale
from swath.raster.radiometry.comparison import TrainingStatistics
from swath.raster.scene_info import ImageInfo
from swath.raster.tiles import Grid
from swath.storage.checked_json import verify_checksum

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


class Plan(Payload, frozen=True, kw_only=True):
    """Plan of a run: all inputs of its shards and its merge.

    The merge opens neither the scene nor the model package. The plan has all that the merge
    needs of both, as of the time of planning.
    """

    version: int = PLAN_VERSION
    run_id: str
    scene: SceneRef
    scene_access: storage.BucketAccess = storage.DEFAULT_ACCESS
    """Access to the bucket of `scene.uri`; the stack has that to the buckets of its files."""
    georeference: Georeference
    """Georeference of the run's pixel grid: `stack.georeference` if there is a stack."""
    stack: BandStack | None = None
    """Files and grid of a scene of several files, or of a scene that is resampled.

    None for a scene of one file whose own pixels are the grid. With a stack, shards open its files
    without reading the scene's document.
    """
    acquisition: Acquisition = UNKNOWN_ACQUISITION
    """Acquisition of the scene, as its metadata state it."""
    warnings: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Warnings about the scene's metadata, one sentence each."""
    model: ModelRef
    output_spec: OutputSpec
    """Description of the model's outputs."""
    bands: tuple[str, ...]
    """Names of the model's bands."""
    expected: TrainingStatistics | None
    """Statistics of the bands in the model's training scenes; None if the package has none."""
    options: RunOptions
    backend: Backend
    width: int
    """Width of the grid in px."""
    height: int
    """Height of the grid in px."""
    tile_size: int
    """Width and height of a tile in px."""
    overlap: int
    """Overlap of neighboring tiles in px."""
    column_cuts: tuple[int, ...]
    """First tile column of each column of rectangles, then the number of tile columns.

    Each rectangle of tiles with a valid pixel is a shard.
    """
    row_cuts: tuple[int, ...]
    """First tile row of each row of rectangles, then the number of tile rows."""
    shards: tuple[int, ...]
    """Numbers of the shards' rectangles, in raster order: those with a tile to infer."""
    skipped: str = ""
    """One bit per tile, set if the tile has no valid pixel: NumPy's packbits, zlib, base64."""
    skipped_count: int = 0
    """Number of tiles without a valid pixel."""

    @property
    def georeferenced_scene(self) -> ImageInfo:
        """Size and georeference of the scene, in px of the grid."""
        return ImageInfo.from_georeference(
            self.georeference, uri=self.scene.uri, width=self.width, height=self.height
        )

    @property
    def pixel_scale(self) -> tuple[float, float]:
        """Width and height of a px of the grid in px of the scene."""
        return pixel_scale(self.stack)

    @property
    def grid(self) -> Grid:
        """Grid of the scene's tiles."""
        return Grid(self.width, self.height, self.tile_size, self.overlap)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the plan's tiles, shards and stack, 16 hexadecimal digits.

        A run that is started again may be planned with other settings, or by another version of
        swath. Shard 7 of one plan then has other tiles than shard 7 of another. The fingerprint
        distinguishes the shards of such plans.
        """
        parts: list[Any] = [self.width, self.height, self.tile_size, self.overlap]
        parts += [self.column_cuts, self.row_cuts, self.shards, self.skipped]
        if self.stack:
            # A file may have been replaced since an earlier plan of the same document.
            parts += self.stack.fingerprint_parts
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def empty_tile_counts(self) -> TileCounts:
        """Counts of the skipped tiles, which no shard's receipt includes."""
        return TileCounts(planned=self.skipped_count, skipped=self.skipped_count)

    @property
    def tiles_to_infer(self) -> int:
        """Number of tiles in all shards."""
        return self.grid.count - self.skipped_count

    @property
    def shard_layout(self) -> ShardLayout:
        """Layout of the rectangles of tiles, some of which are the shards."""
        return ShardLayout(self.column_cuts, self.row_cuts)

    def shard_numbers(self, tiles: ArrayLike) -> Ints:
        """Return the number of the shard that contains each tile.

        Args:
            tiles: Numbers of tiles, of any shape.

        Returns:
            Numbers of shards, int64, of the same shape; -1 for a tile whose whole rectangle is
            skipped.
        """
        rectangles = self.shard_layout.rectangle_numbers(tiles)
        shard_rectangles = np.asarray(self.shards, dtype=np.int64)
        indices = np.searchsorted(shard_rectangles, rectangles)
        is_shard = np.append(shard_rectangles, -1)[indices] == rectangles
        return np.where(is_shard, indices, -1)

    def contains(self, shard: int) -> Callable[[Ints], Mask]:
        """Return a predicate for arrays of tile numbers: whether the shard contains each tile."""
        return lambda tiles: np.asarray(self.shard_numbers(tiles) == shard)

    def tiles(self, shard: int) -> Ints:
        """Return the numbers of a shard's tiles except skipped ones: int64, shape (n,), sorted.

        Raises:
            PayloadError: The plan has no such shard.
        """
        if not 0 <= shard < len(self.shards):
            raise PayloadError(
                f"run {self.run_id} has {len(self.shards)} shards, numbered from 0; "
                f"there is no shard {shard}"
            )
        tiles = self.shard_layout.tiles(self.shards[shard])
        return tiles[~_unpack_flags(self.skipped)[tiles]] if self.skipped else tiles

    @property
    def skipped_tiles(self) -> Ints:
        """Numbers of the tiles without a valid pixel, which no shard reads: int64, (n,), sorted."""
        if not self.skipped:
            return np.zeros(0, np.int64)
        return np.flatnonzero(_unpack_flags(self.skipped)[: self.grid.count])

    def count_pixels(self, shard: int, *, from_tile: int) -> int:
        """Return the number of px in the cores of a shard's tiles, from `from_tile` on."""
        tiles = self.tiles(shard)
        x0, y0, x1, y1 = self.grid.cores(tiles[tiles >= from_tile]).T
        return int(((x1 - x0) * (y1 - y0)).sum())


def read_plan(uri: str) -> Plan:
    """Read the plan of a run.

    Raises:
        PayloadError: The plan is missing or damaged, or another version of swath wrote it.
    """
    try:
        data = storage.read_json(uri)
        if is_readable_plan(data):
            return Plan.from_json(verify_checksum(data))
    except FileNotFoundError:
        raise PayloadError(
            f"there is no plan at {uri}; drop the scene again to plan its run again"
        ) from None
    except (ValueError, PayloadError) as error:
        raise PayloadError(
            f"the plan {uri} is damaged: {error}; drop the scene again to plan its run again"
        ) from None
    raise PayloadError(
        f"the plan {uri} was written by another version of swath; "
        "drop the scene again to plan its run again"
    )


def pack_flags(flags: Mask) -> str:
    """Encode one flag per tile, bool, shape (n,), in the format of `Plan.skipped`."""
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode()


def _unpack_flags(text: str) -> Mask:
    """Decode the flags in `Plan.skipped`: bool, shape (n,), padded with up to seven zeros."""
    packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(packed).astype(np.bool_)
