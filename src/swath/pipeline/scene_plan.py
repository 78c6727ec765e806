"""Assess a scene for a model: its bands, tiles and shards, without writing anything.

`plan_run` and the command that predicts a run call the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath._types import Ints, Mask
from swath.errors import SettingsError
from swath.messages import Backend
from swath.pipeline.shard_layout import ShardLayout
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.units import conversion
from swath.raster.reader.memory_check import MemoryNeed
from swath.raster.reader.scene_memory import gdal_memory_need
from swath.raster.scene import Scene
from swath.raster.scene_info import SceneInfo
from swath.raster.tiles import Grid
from swath.resource_limits import MIB
from swath.settings import PlanSettings

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription

MAX_SHARDS = 10_000
"""Maximum number of shards of a run: the limit on children of an AWS Batch array job."""

MAX_SHARD_COLUMNS = 64
"""Maximum width of a shard in tiles.

A reader holds a few rows of blocks, which are as wide as its shard. With tiles of 512 px, this
maximum limits their width to some 30,000 px, however wide the scene is.
"""

_LAMBDA_OVERHEAD_MIB = 1000
"""Memory in MiB that libraries and a model use in a Lambda function before it reads a scene."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenePlan:
    """Tiles of a scene for one model, before a backend is chosen."""

    scene: SceneInfo
    bands: list[int]
    """Numbers of the model's bands in the scene, from 1, in the model's order."""
    grid: Grid
    """Grid of the scene's tiles."""
    empty: Mask | None
    """Mask (tiles,), True = the tile has no valid pixel; None if no tile is known to be empty."""
    row_need: MemoryNeed
    """Memory for reading the first tiles of the scene with GDAL."""

    @property
    def skipped(self) -> int:
        """Number of tiles that no shard reads."""
        return 0 if self.empty is None else int(self.empty.sum())

    def choose_backend(self, requested: Backend, settings: PlanSettings) -> Backend:
        """Return the backend of the run's shards.

        Args:
            requested: Requested backend.
            settings: Settings that name the deployed backends.

        Raises:
            SettingsError: The requested backend is not deployed.
        """
        if requested is Backend.AUTO:
            small = self._is_small(settings)
            return Backend.LAMBDA if small or not settings.batch else Backend.BATCH
        if requested is Backend.BATCH and not settings.batch:
            raise SettingsError(
                "the backend 'batch' has no GPU queue in this stack; set the deploy setting "
                "'backend' to 'auto' or 'batch'"
            )
        kind = requested.endpoint_kind
        if kind and kind not in settings.endpoints:
            raise SettingsError(
                f"the backend '{requested}' has no endpoint in this stack, which has "
                f"{','.join(settings.endpoints) or 'none'}; add '{kind}' to the deploy setting "
                "'endpoints'"
            )
        return requested

    def shards(self, backend: Backend, settings: PlanSettings) -> tuple[ShardLayout, list[int]]:
        """Return the layout of the scene's rectangles of tiles, and those that are shards.

        Returns:
            The layout, and the sorted numbers of the rectangles that have a tile to infer.
        """
        layout = ShardLayout.for_grid(
            self.grid,
            max_tiles=_max_shard_tiles(backend, settings),
            max_rectangles=MAX_SHARDS,
            max_columns=MAX_SHARD_COLUMNS,
            whole_rows=self.scene.block_shape[1] >= self.scene.width,
        )
        if self.empty is None:
            return layout, list(range(layout.count))
        nonempty = layout.rectangle_numbers(np.flatnonzero(~self.empty))
        return layout, [int(number) for number in np.unique(nonempty)]

    def tiles_to_infer(self) -> Ints:
        """Return the sorted numbers of the tiles that are not known to be empty, int64 (n,)."""
        if self.empty is None:
            return np.arange(self.grid.count, dtype=np.int64)
        return np.flatnonzero(~self.empty).astype(np.int64)

    def _is_small(self, settings: PlanSettings) -> bool:
        """Return whether Lambda functions can run the scene: few tiles, and blocks that fit."""
        if self.grid.count - self.skipped > settings.lambda_max_tiles:
            return False
        free = (settings.lambda_memory_mib - _LAMBDA_OVERHEAD_MIB) * MIB
        return self.row_need.max_threads(1, free) == 1


def assess_scene(scene: Scene, description: ModelDescription) -> ScenePlan:
    """Check that a scene fits a model, and return the scene's tiles.

    Args:
        scene: Open scene.
        description: Description of the model package.

    Raises:
        SceneError: The scene is unusable, or does not fit the model.
        SceneChangedError: The scene was replaced since it was opened.
        TransientError: S3 failed, and a retry can succeed.
    """
    info = scene.info
    # The results of `footprint` and `conversion` are unused: the calls only check the scene.
    footprint(info, Georeferencer.from_info(info))
    bands = select_bands(info, description.bands)
    conversion(info, bands, description.bands, description.units)
    grid = Grid(info.width, info.height, description.tile_size, description.overlap)
    windows = grid.windows(range(min(grid.count, MAX_SHARD_COLUMNS)))
    return ScenePlan(
        scene=info,
        bands=bands,
        grid=grid,
        empty=detect_empty_tiles(scene, grid, bands),
        row_need=gdal_memory_need(scene, bands, windows),
    )


def _max_shard_tiles(backend: Backend, settings: PlanSettings) -> int:
    """Return the maximum number of tiles of a shard on a backend."""
    match backend:
        case Backend.BATCH:
            return settings.batch_shard_tiles
        case Backend.SAGEMAKER_ASYNC:
            return settings.async_shard_tiles
        case Backend.SAGEMAKER_REALTIME | Backend.SAGEMAKER_SERVERLESS:
            return settings.endpoint_shard_tiles
        case _:
            return settings.lambda_shard_tiles
