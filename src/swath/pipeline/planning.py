"""Plan a run: choose its tiles, its shards and its backend.

Planning refuses a scene that is damaged or does not fit the model, before any shard is paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET

from swath._types import Mask
from swath.errors import PackageError, SettingsError, UnknownModelError
from swath.messages import Backend, ModelRef, PlanSummary, RunOptions, RunRequest
from swath.models.package import describe_package
from swath.models.score_threshold import with_score_threshold
from swath.pipeline.plan import Plan, pack_flags
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard_layout import ShardLayout
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.units import conversion
from swath.raster.reader.memory_check import gdal_memory_need
from swath.raster.scene import Scene, open_scene
from swath.raster.scene_info import SceneInfo
from swath.raster.tiles import Grid
from swath.resource_limits import MIB
from swath.settings import PlanSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def plan_run(request: RunRequest, settings: PlanSettings) -> PlanSummary:
    """Check a request, plan its run, and write the plan and the list of its shards.

    Raises:
        UnknownModelError: No model of the requested name is deployed.
        PackageError: The model package cannot be used.
        SceneError: The scene is unusable, or does not fit the model.
        SceneChangedError: The scene is not the one that the request was made for.
        SettingsError: The requested backend is not deployed, or the requested score threshold is
            below that of the package.
    """
    description = _apply_score_threshold(_describe_model(request.model), request.options)
    with open_scene(request.scene.uri, etag=request.scene.etag) as scene:
        # The results of `footprint` and `conversion` are unused: the calls only check the scene.
        footprint(scene.info, Georeferencer.from_info(scene.info))
        bands = select_bands(scene.info, description.bands)
        conversion(scene.info, bands, description.bands, description.units)
        size, overlap = description.tile_size, description.overlap
        grid = Grid(scene.info.width, scene.info.height, size, overlap)
        empty = detect_empty_tiles(scene, grid, bands)
        skipped = 0 if empty is None else int(empty.sum())
        small = grid.count - skipped <= settings.lambda_max_tiles
        backend = _choose_backend(
            request.options.backend,
            settings,
            small=small and _fits_lambda(scene, bands, grid, settings),
        )
    plan = _build_plan(
        request,
        settings,
        description=description,
        scene=scene.info,
        grid=grid,
        empty=empty,
        skipped=skipped,
        backend=backend,
    )
    run = RunStore.create(settings.work_uri, plan)
    return PlanSummary(
        uri=run.paths.plan, backend=plan.backend, shards=len(plan.shards), tiles=grid.count
    )


def _describe_model(model: ModelRef) -> ModelDescription:
    if not model.uri:
        others = f"; the deployed models are {', '.join(model.deployed)}" if model.deployed else ""
        raise UnknownModelError(
            f"no model named {model.name!r} is deployed{others}: drop the scene into the folder "
            "of a model, or deploy this one and drop the scene again"
        )
    info = describe_package(model.uri)
    if info.digest != model.digest:
        raise PackageError(
            f"{model.uri} has the digest {info.digest}, not {model.digest}: "
            "it was replaced after the run began; drop the scene again"
        )
    return info.description


def _apply_score_threshold(description: ModelDescription, options: RunOptions) -> ModelDescription:
    """Return the model's description with the score threshold of a run, if the run has one."""
    threshold = options.score_threshold
    return description if threshold is UNSET else with_score_threshold(description, threshold)


def _build_plan(
    request: RunRequest,
    settings: PlanSettings,
    *,
    description: ModelDescription,
    scene: SceneInfo,
    grid: Grid,
    empty: Mask | None,
    skipped: int,
    backend: Backend,
) -> Plan:
    layout = ShardLayout.for_grid(
        grid,
        max_tiles=_max_shard_tiles(backend, settings),
        max_rectangles=MAX_SHARDS,
        max_columns=MAX_SHARD_COLUMNS,
        whole_rows=scene.block_shape[1] >= scene.width,
    )
    rectangles = range(layout.count) if empty is None else _nonempty_rectangles(layout, empty)
    return Plan(
        run_id=request.run_id,
        scene=request.scene,
        georeference=scene.georeference,
        model=request.model,
        output_spec=description.output_spec,
        bands=description.bands,
        expected=description.expected,
        options=request.options,
        backend=backend,
        width=grid.width,
        height=grid.height,
        tile_size=grid.size,
        overlap=grid.overlap,
        column_cuts=layout.columns,
        row_cuts=layout.rows,
        shards=tuple(rectangles),
        skipped="" if empty is None else pack_flags(empty),
        skipped_count=skipped,
    )


def _nonempty_rectangles(layout: ShardLayout, empty: Mask) -> list[int]:
    """Return the sorted numbers of the rectangles that have a tile with a valid pixel."""
    return [int(number) for number in np.unique(layout.rectangle_numbers(np.flatnonzero(~empty)))]


def _fits_lambda(scene: Scene, bands: Sequence[int], grid: Grid, settings: PlanSettings) -> bool:
    """Return whether a Lambda function's memory suffices for one thread that reads the scene."""
    windows = grid.windows(range(min(grid.count, MAX_SHARD_COLUMNS)))
    need = gdal_memory_need(scene.dataset, len(bands), windows)
    return need.max_threads(1, (settings.lambda_memory_mib - _LAMBDA_OVERHEAD_MIB) * MIB) == 1


def _choose_backend(requested: Backend, settings: PlanSettings, *, small: bool) -> Backend:
    """Return the backend of a run's shards.

    Args:
        requested: Requested backend.
        settings: Settings that name the deployed backends.
        small: Whether Lambda functions can run the scene: few tiles, and blocks that fit in memory.

    Raises:
        SettingsError: The requested backend is not deployed.
    """
    if requested is Backend.AUTO:
        return Backend.LAMBDA if small or not settings.batch else Backend.BATCH
    if requested is Backend.BATCH and not settings.batch:
        raise SettingsError(
            "the backend 'batch' has no GPU queue in this stack; set the deploy setting 'backend' "
            "to 'auto' or 'batch'"
        )
    kind = requested.endpoint_kind
    if kind and kind not in settings.endpoints:
        raise SettingsError(
            f"the backend '{requested}' has no endpoint in this stack, which has "
            f"{','.join(settings.endpoints) or 'none'}; add '{kind}' to the deploy setting "
            "'endpoints'"
        )
    return requested


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
