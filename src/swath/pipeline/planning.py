"""Plan a run: choose its tiles, its shards and its backend.

Planning refuses a scene that is damaged or does not fit the model, before any shard is paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from swath import storage
from swath.errors import PackageError, SceneChangedError, UnknownModelError
from swath.items import SceneItem, SceneSources, read_item
from swath.items.deliveries import is_delivery
from swath.messages import (
    Backend,
    ModelRef,
    PlanSummary,
    RunOptions,
    RunRequest,
    SceneRef,
    is_document,
)
from swath.models.package import PackageInfo, describe_package
from swath.models.score_threshold import with_score_threshold
from swath.pipeline.plan import Plan, pack_flags
from swath.pipeline.run_store import RunStore
from swath.pipeline.scene_plan import ScenePlan, assess_scene
from swath.raster.assets.open import open_model_scene
from swath.raster.stated_acquisition import describe_acquisition
from swath.settings import PlanSettings

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription


def plan_run(
    request: RunRequest, settings: PlanSettings, *, item: SceneItem | None = None
) -> PlanSummary:
    """Check a request, plan its run, and write the plan and the list of its shards.

    Args:
        request: Request for the run.
        settings: Settings of the plan.
        item: Content of the scene; None to read it from the scene's document, if it has one.

    Raises:
        UnknownModelError: No model of the requested name is deployed.
        PackageError: The model package cannot be used.
        SceneError: The scene is unusable, or does not fit the model.
        SceneChangedError: The scene is not the one that the request was made for.
        SettingsError: The requested backend is not deployed, or the requested score threshold is
            below that of the package.
    """
    package = read_model(request.model)
    description = _apply_score_threshold(package.description, request.options)
    sources = SceneSources.parse(settings.scene_sources)
    sources.configure_access(request.scene.uri)
    item = item or _read_document(request.scene, sources)
    scene, etag = item or request.scene.uri, request.scene.etag
    with open_model_scene(scene, description.band_needs, etag=etag) as opened:
        assessed = assess_scene(opened.scene, description)
        acquisition, warnings = describe_acquisition(
            opened, item, uri=request.scene.uri, given=request.scene.acquired_at
        )
    backend = assessed.choose_backend(request.options.backend, settings)
    plan = msgspec.structs.replace(
        _build_plan(request, settings, description, assessed, backend),
        acquisition=acquisition,
        warnings=warnings,
        stack=opened.stack,
        scene_access=storage.access_to(request.scene.uri),
    )
    run = RunStore.create(settings.work_uri, plan)
    # The catalog of the results has it; by then, the package may have been replaced.
    storage.write_bytes(run.paths.model_item, package.text, content_type="application/json")
    return PlanSummary(
        uri=run.paths.plan, backend=plan.backend, shards=len(plan.shards), tiles=assessed.grid.count
    )


def _read_document(scene: SceneRef, sources: SceneSources) -> SceneItem | None:
    """Return the content of a scene's document; None for a scene of one file.

    Raises:
        SceneError: The document is none of a scene, or names files outside the sources.
        SceneChangedError: The document is not the one that the request was made for.
    """
    if not (is_document(scene.uri) or is_delivery(scene.uri)):
        return None
    item = read_item(scene.uri, sources)
    if item.etag != scene.etag:
        raise SceneChangedError(
            f"{scene.uri} was replaced after its run was requested; the run of the new version "
            "replaces this one"
        )
    return item


def describe_model(model: ModelRef) -> ModelDescription:
    """Return the description of a run's model package; see `read_model` for the errors."""
    return read_model(model).description


def read_model(model: ModelRef) -> PackageInfo:
    """Return the description and the Item of a run's model package.

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
    return info


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
