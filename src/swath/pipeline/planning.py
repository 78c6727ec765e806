"""Plan a run: choose its tiles, its shards and its backend.

Planning refuses a scene that is damaged or does not fit the model, before any shard is paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from swath.errors import PackageError, UnknownModelError
from swath.messages import Backend, ModelRef, PlanSummary, RunOptions, RunRequest
from swath.models.package import describe_package
from swath.models.score_threshold import with_score_threshold
from swath.pipeline.plan import Plan, pack_flags
from swath.pipeline.run_store import RunStore
from swath.pipeline.scene_plan import ScenePlan, assess_scene
from swath.raster.scene import open_scene
from swath.settings import PlanSettings

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription


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
    description = _apply_score_threshold(describe_model(request.model), request.options)
    with open_scene(request.scene.uri, etag=request.scene.etag) as scene:
        assessed = assess_scene(scene, description)
    backend = assessed.choose_backend(request.options.backend, settings)
    plan = _build_plan(request, settings, description, assessed, backend)
    run = RunStore.create(settings.work_uri, plan)
    return PlanSummary(
        uri=run.paths.plan, backend=plan.backend, shards=len(plan.shards), tiles=assessed.grid.count
    )


def describe_model(model: ModelRef) -> ModelDescription:
    """Return the description of a run's model package.

    Raises:
        UnknownModelError: No model of this name is deployed.
        PackageError: The package cannot be used, or was replaced after the run began.
    """
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
    description: ModelDescription,
    assessed: ScenePlan,
    backend: Backend,
) -> Plan:
    layout, shards = assessed.shards(backend, settings)
    grid, empty = assessed.grid, assessed.empty
    return Plan(
        run_id=request.run_id,
        scene=request.scene,
        georeference=assessed.scene.georeference,
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
        shards=tuple(shards),
        skipped="" if empty is None else pack_flags(empty),
        skipped_count=assessed.skipped,
    )
