"""Carry out all steps of a run, one after the other, in one process and without any cloud."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from swath import storage
from swath.errors import InputError, SceneError, SwathError
from swath.errors.exit_codes import CommandExit
from swath.errors.extras import require_modules
from swath.items import SceneItem, SceneSources
from swath.items.references import reference
from swath.items.scene_arguments import SceneArgument, as_item, parse_scene
from swath.messages import (
    Backend,
    LoadSummary,
    MergeSummary,
    ModelRef,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
)
from swath.messages.acquisition_time import parse_acquired_at
from swath.models.package import describe_package
from swath.models.runtimes.time_limit import before_forced_exit
from swath.observability.version import __version__
from swath.pipeline.merge import merge_run
from swath.pipeline.plan import Plan
from swath.pipeline.planning import plan_run
from swath.pipeline.run_report import RunReport, RunStatus
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard
from swath.pipeline.shard_attempt import check_scene_unchanged
from swath.settings import PlanSettings
from swath.storage.output_folder import (
    DETECTIONS,
    MASK,
    SUMMARY,
    VECTOR_FILES,
    VectorFormat,
    clear_outputs,
    move_outputs,
    run_outputs,
    work_folder,
)

_MOVE_SECONDS = 60.0
_SUMMARIZE_SECONDS = 60.0
_SUPERSEDED_WARNING = (
    "the database has a later run of this scene and model, so the detections of this run were "
    "not loaded"
)
ProgressCallback = Callable[[int, int], None]
"""Callback with the number of tiles done and the total number; the first call has 0 done."""


@dataclass(slots=True)
class Stopwatch:
    """Stopwatch for the stages of a run."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each stage in s, by name."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the duration of the block as a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)


def run_local(
    scene: SceneArgument,
    model: str,
    out: Path,
    *,
    sources: Collection[str] = (),
    formats: Collection[VectorFormat] = (),
    database: str | None = None,
    options: RunOptions | None = None,
    acquired_at: str | None = None,
    progress: ProgressCallback | None = None,
) -> RunReport:
    """Run a model over a scene; write `detections.parquet` and `summary.json`.

    A segmentation model whose package asks for a mask also gives `mask.tif`. The files of an
    earlier run in the folder are removed first.

    Args:
        scene: Scene: the address of a file or of a STAC Item, a list of files, or an Item.
        model: Model package: a folder, a `model.tar.gz` or the S3 URI of one.
        out: Folder for the outputs.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.
        formats: Further formats of the detections, written as `detections.gpkg` and the like.
        database: DSN of a database into which the detections are also loaded.
        options: Options of the run; the backend is always `local`.
        acquired_at: Time of the scene's acquisition, ISO 8601 with a time zone; by default, that
            which the scene's metadata state.
        progress: Callback after each batch of tiles.

    Returns:
        The content of `summary.json`.

    Raises:
        InputError: There is no such scene or package, `out` has a file that swath did not write
            and would replace, or `acquired_at` is no time of acquisition.
        SwathError: The run failed. `summary.json` reports the failure too, whatever the error.
    """
    if formats:
        require_modules("pyogrio")
    given = _parse_acquired_at(acquired_at)
    clear_outputs(out, run_outputs(out, formats))
    parsed = parse_scene(scene, SceneSources.parse(sources))
    request = new_request(parsed, model, options or RunOptions(), acquired_at=given)
    watch = Stopwatch()
    files: dict[str, Path] = {}

    def report_failure(error: Exception) -> None:
        # `files` may have detections already: if only the load failed, the run keeps them.
        is_expected = isinstance(error, SwathError)
        cause = str(error) if is_expected else f"{type(error).__name__}: {error}"
        kind = type(error).__name__
        failed = _build_report(request, watch, status="failed", error=kind, cause=cause)
        # If the disk is full, writing the summary fails too; the first error is the one to raise.
        with nullcontext() if is_expected else suppress(OSError):
            move_outputs(out, {**files, SUMMARY: _write_report(failed, work)})

    def report_timeout(error: Exception) -> CommandExit:
        report_failure(error)
        shutil.rmtree(work, ignore_errors=True)
        return CommandExit.FAILED

    with work_folder(out) as work, before_forced_exit(report_timeout):
        try:
            if database is not None:
                _migrate_database(database)
            plan, merged = run_stages(
                request, str(work), watch, progress, item=as_item(parsed), sources=sources
            )
            files[DETECTIONS] = Path(merged.uri)
            if merged.mask_uri:
                files[MASK] = Path(merged.mask_uri)
            if formats:
                with watch.stage("formats"):
                    warnings = _write_formats(files, formats)
                merged = msgspec.structs.replace(merged, warnings=[*merged.warnings, *warnings])
            if database is not None:
                with watch.stage("load"):
                    superseded = _load_into_database(database, request, merged, plan).superseded
                if superseded:
                    merged = msgspec.structs.replace(
                        merged, warnings=[*merged.warnings, _SUPERSEDED_WARNING]
                    )
            report = _build_report(request, watch, status="succeeded", merged=merged)
        except Exception as error:
            report_failure(error)
            raise
        move_outputs(out, {**files, SUMMARY: _write_report(report, work)})
    return report


def _parse_acquired_at(text: str | None) -> str:
    """Return a time of acquisition in UTC; empty if none is given.

    Raises:
        InputError: The text is no time of acquisition.
    """
    if text is None:
        return ""
    try:
        return parse_acquired_at(text)
    except ValueError as error:
        raise InputError(f"the time of acquisition {text!r} {error}") from None


def new_request(
    scene: str | SceneItem, model: str, options: RunOptions, *, acquired_at: str = ""
) -> RunRequest:
    """Return a request to run the current model package over the current scene.

    Args:
        scene: Path or S3 URI of a scene of one file, or the content of any other scene.
        model: Path or S3 URI of the model package.
        options: Options of the run; the backend becomes `local`.
        acquired_at: Time of the scene's acquisition that the user gave, ISO 8601 UTC; empty if
            there is none.

    Raises:
        SceneError: There is no scene at the address.
        PackageError: There is no model package at the address, or it cannot be used.
    """
    began = datetime.now(UTC).isoformat()
    if isinstance(scene, SceneItem):
        scene_ref = reference(scene, dropped_at=began)
    else:
        scene_ref = _file_ref(scene, began)
    model = storage.resolve(model)
    info = describe_package(model)
    return RunRequest.new(
        scene=msgspec.structs.replace(scene_ref, acquired_at=acquired_at),
        model=ModelRef(name=info.description.name, uri=model, digest=info.digest),
        options=msgspec.structs.replace(options, backend=Backend.LOCAL),
    )


def _file_ref(scene: str, began: str) -> SceneRef:
    uri = storage.resolve(scene, allow_https=True)
    etag = storage.etag(uri)
    if etag is None:
        raise SceneError(f"there is no scene at {uri}; check the address")
    return SceneRef(uri=uri, etag=etag, dropped_at=began)


def run_stages(
    request: RunRequest,
    work: str,
    watch: Stopwatch,
    progress: ProgressCallback | None,
    *,
    item: SceneItem | None = None,
    sources: Collection[str] = (),
) -> tuple[Plan, MergeSummary]:
    """Plan, infer and merge a run in one process.

    Args:
        request: Request for the run.
        work: Folder for the plan, the shards and the merged files.
        watch: Stopwatch for the stages.
        progress: Callback after each batch of tiles.
        item: Content of the scene; None for a scene of one file.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.

    Returns:
        The plan, and the summary of the merge.
    """
    settings = PlanSettings(work_uri=work, scene_sources=tuple(sources))
    with watch.stage("plan"):
        summary = plan_run(request, settings, item=item)
    with watch.stage("infer"):
        plan = RunStore.open(summary.uri).plan
        total = plan.tiles_to_infer
        report = progress or (lambda *_: None)
        done = 0
        report(done, total)
        for index in range(summary.shards):

            def report_tiles(tiles: int, before: int = done) -> None:
                report(before + tiles, total)

            receipt = run_shard(summary.uri, index, progress=report_tiles)
            done += receipt.tiles.planned
            report(done, total)
    with watch.stage("merge"):
        return plan, merge_run(summary.uri)


def _write_formats(files: dict[str, Path], formats: Collection[VectorFormat]) -> list[str]:
    """Write the detections in further formats beside GeoParquet, and add the files to `files`.

    Returns:
        Warnings about the files, one sentence each.
    """
    # Imported here, so that a run without these formats does not need pyogrio.
    from swath.detection.vector_formats import write_vector  # noqa: PLC0415

    warnings = []
    source = files[DETECTIONS]
    for vector_format, name in VECTOR_FILES.items():
        if vector_format in formats:
            target = source.with_name(name)
            warnings += write_vector(source, target, vector_format)
            files[name] = target
    return warnings


def _migrate_database(database: str) -> None:
    """Migrate the database before the inference, so that an unusable one fails the run early.

    Rows of an earlier release may need longer to move than a run should wait. The next run moves
    further ones.

    Raises:
        SettingsError: The address or the database cannot be used.
        TransientError: The connection failed.
    """
    # Imported here, so that a run without a database does not need a driver.
    from swath.database.connect import connect_dsn  # noqa: PLC0415
    from swath.database.migrate import migrate  # noqa: PLC0415
    from swath.database.move_rows import move_rows  # noqa: PLC0415
    from swath.database.summarize_runs import summarize_runs  # noqa: PLC0415

    with closing(connect_dsn(database)) as connection:
        migrate(connection)
        move_rows(connection, seconds=_MOVE_SECONDS)
        summarize_runs(connection, seconds=_SUMMARIZE_SECONDS)


def _load_into_database(
    database: str, request: RunRequest, merged: MergeSummary, plan: Plan
) -> LoadSummary:
    from swath.database.connect import connect_dsn  # noqa: PLC0415
    from swath.database.load import load_run  # noqa: PLC0415

    with closing(connect_dsn(database)) as connection:
        return load_run(
            connection,
            request,
            merged,
            backend=Backend.LOCAL,
            # No event reports changes to local files, so their ETags are compared again.
            check=lambda: check_scene_unchanged(plan.scene, plan.stack),
        )


def _build_report(
    request: RunRequest,
    watch: Stopwatch,
    *,
    status: RunStatus,
    merged: MergeSummary | None = None,
    error: str | None = None,
    cause: str | None = None,
) -> RunReport:
    return RunReport(
        run_id=request.run_id,
        status=status,
        scene=request.scene.uri,
        model=request.model.name,
        version=__version__,
        tiles=merged.tiles if merged else TileCounts(),
        detections=merged.detections if merged else 0,
        acquisition=merged.acquisition if merged else None,
        valid_area_m2=merged.valid_area_m2 if merged else None,
        warnings=merged.warnings if merged else [],
        error=error,
        cause=cause,
        seconds=watch.seconds,
    )


def _write_report(report: RunReport, folder: Path) -> Path:
    path = folder / SUMMARY
    path.write_text(report.to_text(), encoding="utf-8")
    return path
