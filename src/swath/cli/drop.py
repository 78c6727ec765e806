"""Define `swath drop`, which drops a scene into a stack and may follow its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from swath.cli.console import print_error, print_line, print_stage, print_warning, progress_bar
from swath.cli.options import deployment, inputs
from swath.errors import UnknownModelError
from swath.errors.exit_codes import CommandExit

if TYPE_CHECKING:
    from swath.messages import ModelRef
    from swath.pipeline.dropping.drops import DropTarget, PlannedDrop
    from swath.pipeline.dropping.follow import RunFollower, RunOutcome
    from swath.pipeline.dropping.upload import DroppedScene
    from swath.stack import Deployment

_MEGABYTE = 10**6


def drop(
    scene: inputs.SceneFiles,
    *,
    model: deployment.DeployedModel = None,
    stack: deployment.Stack = "swath",
    acquired_at: inputs.AcquiredAt = None,
    follow: deployment.Follow = False,
) -> None:
    """Upload a scene to a stack, which runs it; files on S3 and those of an Item are not copied.

    With --follow, the command shows the run until it ends. Ctrl-C ends the command, not the run.
    """
    from swath.pipeline.dropping.drops import check_local_files, plan_drop
    from swath.stack import Deployment

    check_local_files(scene)
    deployed = Deployment.from_stack(stack)
    target = _choose_target(deployed, model)
    planned = plan_drop(scene, target, acquired_at=acquired_at)
    dropped = _upload(planned)
    print_line(dropped.uri)
    if follow:
        _follow(deployed, dropped, target.model.name)


def _choose_target(deployed: Deployment, model: str | None) -> DropTarget:
    """Return the bucket and the model of a drop.

    Raises:
        UnknownModelError: The stack has no such model.
    """
    from swath.items import SceneSources
    from swath.pipeline.dropping.drops import DropTarget

    bucket, settings = deployed.scenes_bucket, deployed.settings
    return DropTarget(
        bucket=bucket,
        model=_deployed_model(deployed, model or settings.default_model),
        is_default=model is None,
        sources=SceneSources.parse((f"s3://{bucket}/", *settings.scene_sources)),
    )


def _deployed_model(deployed: Deployment, name: str) -> ModelRef:
    from swath.models.catalog import load_catalog

    catalog = load_catalog(deployed.catalog_uri)
    if name not in catalog:
        raise UnknownModelError(
            f"the stack {deployed.stack!r} has no model {name!r}; its models are "
            f"{', '.join(sorted(catalog))}"
        )
    return catalog[name]


def _upload(planned: PlannedDrop) -> DroppedScene:
    from swath.pipeline.dropping.upload import upload_drop

    with progress_bar("MB") as update:
        return upload_drop(
            planned,
            lambda name, done, total: update(name, done // _MEGABYTE, -(-total // _MEGABYTE)),
        )


def _follow(deployed: Deployment, dropped: DroppedScene, model: str) -> None:
    """Show a run until it ends.

    Raises:
        Exit: The run failed, or the user ended the command.
    """
    from swath.pipeline.dropping.follow import RunFollower

    follower = RunFollower(deployment=deployed, scene=dropped, model=model)
    try:
        outcome = _show_progress(follower)
    except KeyboardInterrupt:
        print_warning(
            f"the run of {dropped.uri} continues; its results will be in {deployed.results_uri}"
        )
        raise typer.Exit(CommandExit.INTERRUPTED) from None
    _print_outcome(outcome)


def _show_progress(follower: RunFollower) -> RunOutcome:
    """Show the stages of a run and the shards done, and return its outcome."""
    with progress_bar("shards") as update:
        events, stage, run_id = follower.follow(), "", ""
        while True:
            try:
                progress = next(events)
            except StopIteration as end:
                outcome: RunOutcome = end.value
                _print_run_id(outcome.run_id, run_id)
                return outcome
            run_id = _print_run_id(progress.run_id, run_id)
            if progress.stage != stage:
                stage = progress.stage
                print_stage(stage)
            update(stage, progress.done, progress.total)


def _print_run_id(run_id: str, printed: str) -> str:
    """Print the id of a run unless it was printed before, and return it."""
    if run_id != printed:
        print_line(f"run {run_id}")
    return run_id


def _print_outcome(outcome: RunOutcome) -> None:
    if not outcome.succeeded:
        print_error(f"run {outcome.run_id} failed: {outcome.cause}")
        raise typer.Exit(CommandExit.FAILED)
    for warning in outcome.warnings:
        print_warning(warning)
    if outcome.is_superseded:
        print_warning(
            "the database has a later run of this scene and model, so the detections of this run "
            "were not loaded"
        )
    noun = "detection" if outcome.detections == 1 else "detections"
    print_line(f"{outcome.detections:,} {noun}: {outcome.detections_uri}")
