"""Start the run of a dropped scene exactly once, however often its event is delivered.

For each scene and model, a note in the work bucket holds the latest drop and the name of its
execution. `start_run` writes the note before it starts the execution. The write is conditional on
the note's ETag, so handlers of simultaneous events take turns. `swath.messages.versions` decides
which of two drops is the later one. `start_run` then handles a drop as follows:

* An event whose drop is already noted is a repeated delivery. The noted execution is started if it
  does not exist yet.
* A drop earlier than the noted one starts nothing: a later write has replaced its object.
* A drop of the same bytes as the noted one starts nothing if the noted run's detections are loaded.
  If that run is in progress, the drop is noted and waits for its end. If the noted execution does
  not exist, the noted drop's handler has died or is about to start it. This handler then starts the
  execution under the same name, and its own drop waits.
* Any other drop starts an execution: the scene is new, other bytes were dropped in between, the run
  failed, or another package is deployed.

When an execution ends and its run's detections are not loaded, an execution is started for the
waiting drop. A drop that arrives while the run ends is noted before `start_run` looks up the run's
state. So either the drop's handler sees that the run has ended, or the handler of the end event
sees the drop. End events may arrive late and repeatedly, like the events of drops. Each drop starts
at most one execution: once the latest drop has an execution, no drop waits. So a scene that always
fails is not run forever. If the object was replaced or deleted meanwhile, the run fails with an
error that says so.

A failed run is not redriven: a new execution is started, with the code that is deployed now.
Finished shards keep their receipts; lost or damaged objects in the work bucket are written again.

A dropped STAC Item, or another JSON that names the files of a scene, is read before all this. The
versions of an Item share a note, whatever keys they are dropped under: what is said above of a
scene's object holds for the Item. The run's id also depends on the ETags of the Item's files, so
the same Item with other files is other work. If the document is not the dropped one any more, a
later write has replaced it, and the drop starts nothing. A document that cannot be read starts a
run, which fails with the reason.

An execution's name is its run's id, followed by the drop's sequencer if the scene was noted before.
If the note is lost, a repeated event usually starts no second execution, since Step Functions
accepts a name only once. It is then unknown whose rows the database has, so the next drop starts an
execution of its own. An old event can also be mistaken for the latest drop; the scene's next drop
corrects that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from swath.errors import PayloadError, TransientError
from swath.messages import Payload, RunOptions, RunRequest, SceneRef, is_document
from swath.messages.execution_events import EndedExecution
from swath.messages.versions import SceneVersion
from swath.models.catalog import Catalog, choose_model
from swath.pipeline.executions import Executions
from swath.pipeline.latest_drop import LatestDrop, unique_execution_name
from swath.settings import StartRunSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

StartOutcome = Literal["started", "duplicate", "outdated", "ignored", "waiting"]

# Suffixes of files beside a scene that describe it: they are part of the scene, not scenes.
_SIDECAR_SUFFIXES = (
    *(".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".tiffw", ".wld", ".prj"),
    *(".imd", ".rpb", "_rpc.txt"),
)
# Maximum number of attempts to write a note. Then the handler fails, and Lambda retries the event.
_MAX_WRITE_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Object that was put into the scenes bucket."""

    bucket: str
    key: str
    etag: str
    size: int
    """Size of the object in bytes."""
    dropped_at: str
    """Time of the drop, ISO 8601 UTC, in whole seconds."""
    sequencer: str = ""
    """Sequencer of S3's event, which orders the writes to one key; empty if it has none."""

    @property
    def uri(self) -> str:
        """S3 URI of the object, without percent-encoding of the key."""
        return f"s3://{self.bucket}/{self.key}"


class _EndDetail(EndedExecution, frozen=True):
    """Fields of the `detail` of an event about an ended execution, whatever its outcome."""

    name: str
    """Name of the execution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEnd:
    """End of an execution, whatever its outcome."""

    execution: str
    """Name of the execution."""
    request: RunRequest
    """Request that was the execution's input."""
    ended_at: datetime
    """Time at which the execution ended, in UTC."""

    @classmethod
    def from_event_detail(cls, detail: Any) -> Self:
        """Read the `detail` of Step Functions' event about an execution that ended.

        Raises:
            PayloadError: The detail is not that of such an event, or the execution's input is not
                a run request.
        """
        try:
            ended = _EndDetail.from_detail(detail)
            request = ended.parse_request()
        except msgspec.MsgspecError as error:
            raise PayloadError(f"not the event of a run that ended: {error}") from None
        return cls(execution=ended.name, request=request, ended_at=ended.ended_at)


class StartSummary(Payload, frozen=True, kw_only=True):
    """Outcome of the event of a drop, or of the event of an ended execution."""

    outcome: StartOutcome
    uri: str
    """Address of the scene."""
    run_id: str = ""
    execution: str = ""
    """Name of the run's execution."""
    reason: str = ""
    """Reason for ignoring the event; empty for other outcomes."""


def start_run(
    drop: Drop, *, settings: StartRunSettings, catalog: Catalog, sfn: SFNClient | None = None
) -> StartSummary:
    """Start a run for a dropped object, unless the object is not a scene or needs no new run.

    Args:
        drop: Dropped object.
        settings: Settings of `start_run`.
        catalog: Deployed models.
        sfn: Client of Step Functions; by default a new one.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused a request; the caller should
            retry.
        TransientError: S3 failed, or too many events of one scene arrived at once; the caller
            should retry.
    """
    if reason := ignore_reason(drop):
        return StartSummary(outcome="ignored", uri=drop.uri, reason=reason)
    request = new_request(drop, settings=settings, catalog=catalog)
    if request is None:
        return StartSummary(outcome="outdated", uri=drop.uri)
    return start_request(request, settings=settings, sfn=sfn)


def start_request(
    request: RunRequest, *, settings: StartRunSettings, sfn: SFNClient | None = None
) -> StartSummary:
    """Start the run of a request, unless it needs no new run.

    Args:
        request: Request for the run of a drop.
        settings: Settings of `start_run`.
        sfn: Client of Step Functions; by default a new one.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused a request; the caller should
            retry.
        TransientError: S3 failed, or too many events of one scene arrived at once; the caller
            should retry.
    """
    executions = Executions.from_arn(settings.state_machine_arn, sfn)
    uri = LatestDrop.note_uri(settings.work_uri, request)
    for _ in range(_MAX_WRITE_ATTEMPTS):
        stored, etag = LatestDrop.read(uri)
        note, outcome = _decide_on_drop(stored, request, executions)
        if note != stored:
            if not note.write(uri, etag):
                continue
            if outcome == "duplicate":
                # The run may have ended before the drop was noted as waiting: check again.
                continue
        summary = _start_if_undecided(note, outcome, uri=uri, executions=executions)
        if outcome is None and note.is_waiting and summary.outcome == "duplicate":
            # Another handler started the execution, which may have ended by now: check again.
            continue
        return summary
    raise _contention_error(uri)


def start_waiting_drop(
    detail: Any, *, settings: StartRunSettings, sfn: SFNClient | None = None
) -> StartSummary:
    """Start an execution for the waiting drop, unless the ended one loaded its run's detections.

    Args:
        detail: Field `detail` of Step Functions' event about an ended execution. If someone started
            the execution by hand with another input, the event is ignored.
        settings: Settings of `start_run`.
        sfn: Client of Step Functions; by default a new one.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused a request; the caller should
            retry.
        TransientError: S3 failed, too many events of one scene arrived at once, or Step Functions
            still describes the execution as running; the caller should retry.
    """
    try:
        end = ExecutionEnd.from_event_detail(detail)
    except PayloadError as error:
        return StartSummary(outcome="ignored", uri="", reason=str(error))
    executions = Executions.from_arn(settings.state_machine_arn, sfn)
    uri = LatestDrop.note_uri(settings.work_uri, end.request)
    for _ in range(_MAX_WRITE_ATTEMPTS):
        stored, etag = LatestDrop.read(uri)
        if stored is None or stored.request.run_id != end.request.run_id:
            return StartSummary(
                outcome="ignored",
                uri=end.request.scene.uri,
                run_id=end.request.run_id,
                reason="the scene's latest drop belongs to another run",
            )
        note, outcome = _decide_on_latest_drop(stored, executions, end)
        if note == stored or note.write(uri, etag):
            return _start_if_undecided(note, outcome, uri=uri, executions=executions)
    raise _contention_error(uri)


def ignore_reason(drop: Drop) -> str | None:
    """Return why an object is not a scene, judged by its key and size; None if it may be one.

    An object with an unusual name or size may be a scene: if its run fails, the cause is recorded.
    """
    if drop.key.endswith("/") and drop.size == 0:
        return "a folder marker"
    if drop.key.lower().endswith(_SIDECAR_SUFFIXES):
        return "a file that accompanies a scene"
    return None


def new_request(drop: Drop, *, settings: StartRunSettings, catalog: Catalog) -> RunRequest | None:
    """Return the request for the run of a dropped scene; None if its document was replaced since.

    Raises:
        PayloadError: The options in the settings are invalid.
        SettingsError: An allowed source in the settings is invalid.
        TransientError: S3 failed, and a retry can succeed.
    """
    scene = SceneRef(
        uri=drop.uri, etag=drop.etag, dropped_at=drop.dropped_at, sequencer=drop.sequencer
    )
    if is_document(drop.key):
        # Imported here, so that a cold start for a raster file does not wait for it.
        from swath.pipeline.dropped_document import identify_scene  # noqa: PLC0415

        identified = identify_scene(scene, settings.scene_sources)
        if identified is None:
            return None
        scene = identified
    return RunRequest.new(
        scene=scene,
        model=choose_model(
            drop.key, catalog, prefix=settings.incoming_prefix, default=settings.default_model
        ),
        options=run_options(settings),
        requested_at=datetime.now(UTC).isoformat(),
    )


def run_options(settings: StartRunSettings) -> RunOptions:
    """Return the options of the runs that are started.

    Raises:
        PayloadError: The options in the settings are invalid.
    """
    options: dict[str, Any] = {
        "backend": settings.backend,
        "tolerated_failures": settings.tolerated_failures,
    }
    if settings.score_threshold is not None:
        options["score_threshold"] = settings.score_threshold
    return RunOptions.from_json(options)


def _decide_on_drop(
    stored: LatestDrop | None, request: RunRequest, executions: Executions
) -> tuple[LatestDrop, StartOutcome | None]:
    """Return the note after a drop, and the outcome; it is None if an execution must start."""
    if stored is None:
        return LatestDrop.from_request(request, request.run_id), None
    drop = SceneVersion.from_request(request)
    if _same_object(stored.request.scene, request.scene) and drop.is_same_drop(stored.version):
        return _decide_on_latest_drop(stored, executions)
    if stored.version.is_later_than(drop):
        return stored, "outdated"
    if stored.request.run_id == request.run_id:
        state = executions.state(stored.execution, stored.request)
        if state != "stale":
            return stored.with_later_drop(request.scene), "duplicate" if state == "valid" else None
    return LatestDrop.from_request(request, unique_execution_name(request)), None


def _same_object(one: SceneRef, other: SceneRef) -> bool:
    """Return whether two versions of a scene are the same bytes under the same key.

    The time of a delivery, which has no sequencer, is that of its last file in whole seconds. Two
    versions may have the same time, so the files decide.
    """
    if (one.uri, one.etag) != (other.uri, other.etag):
        return False
    return bool(one.sequencer) or one.assets == other.assets


def _decide_on_latest_drop(
    stored: LatestDrop, executions: Executions, end: ExecutionEnd | None = None
) -> tuple[LatestDrop, StartOutcome | None]:
    """Return the note of the latest drop, and the outcome; it is None if an execution must start.

    Args:
        stored: Note of the latest drop. The drop's handler may have died before it started a run.
        executions: Executions of the state machine.
        end: End of an execution, from an event; None without an event.
    """
    if not stored.is_waiting:
        ended = end is not None and end.execution == stored.execution
        exists = ended or executions.exists(stored.execution)
        return stored, "duplicate" if exists else None
    ended_at = end.ended_at if end is not None and end.execution == stored.execution else None
    state = executions.state(stored.execution, stored.request, ended_at=ended_at)
    if state == "stale":
        return stored.for_waiting_drop(), None
    return stored, "duplicate" if state == "valid" else None


def _start_if_undecided(
    note: LatestDrop, outcome: StartOutcome | None, *, uri: str, executions: Executions
) -> StartSummary:
    """Start the noted execution if there is no outcome yet, and return the summary."""
    if outcome is None:
        outcome, execution = _start_execution(executions, note)
        if execution != note.execution:
            _write_execution_name(uri, note.request, execution)
            note = msgspec.structs.replace(note, execution=execution)
    return StartSummary(
        outcome=outcome,
        uri=note.request.scene.uri,
        run_id=note.request.run_id,
        execution=note.execution,
    )


def _start_execution(executions: Executions, note: LatestDrop) -> tuple[StartOutcome, str]:
    """Start the noted execution if it does not exist; return the outcome and the execution's name.

    If the note of an earlier drop was lost, the noted name can be taken by that drop's execution.
    The execution is then started under a name that is unique to this drop.
    """
    drop, name = SceneVersion.from_request(note.request), note.execution
    if executions.start(name, note.request):
        return "started", name
    taken = executions.drop_version(name)
    if taken is not None and (drop.is_same_drop(taken) or taken.is_later_than(drop)):
        return "duplicate", name
    name = unique_execution_name(note.request)
    return "started" if executions.start(name, note.request) else "duplicate", name


def _write_execution_name(uri: str, request: RunRequest, execution: str) -> None:
    """Write an execution's name into the note, unless the note has another request by now."""
    for _ in range(_MAX_WRITE_ATTEMPTS):
        stored, etag = LatestDrop.read(uri)
        if stored is None or stored.request != request:
            return
        if msgspec.structs.replace(stored, execution=execution).write(uri, etag):
            return


def _contention_error(uri: str) -> TransientError:
    return TransientError(
        f"{uri} was not written: other processes wrote it first, {_MAX_WRITE_ATTEMPTS} times"
    )
