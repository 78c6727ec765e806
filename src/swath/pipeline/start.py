"""Start the run of a dropped scene: once, however often its event is delivered.

The latest drop of each scene and model is noted in the work bucket, with the execution that is to
run it, before that is started. The note is written under the condition that nobody else has written
it in the meantime, so handlers of events that arrive at once take turns. Which of two drops is the
later one is in `swath.messages.versions`. Then a drop

* that is noted already is an event delivered again: its execution is started if it is not there;
* that is earlier than the noted one does nothing: its object is no longer in the bucket;
* of the same bytes as the noted one does nothing if their run is done. If that is under way, the
  drop waits: it is noted, and nothing is started. If the noted execution is not there, its handler
  is about to start it, or has died: this one starts it too, by the same name, and waits;
* starts an execution else: the scene is new, or other bytes were dropped in between, or the run
  failed, or another package is deployed.

When an execution ends without having loaded its run, the drop that waits for it is started. A drop
that comes while the run ends is noted before it asks how the run is. So either the drop sees that
the run has ended, or the event of the end sees the drop. The events of ends may come late and more
than once, like those of drops. One drop starts one execution and no more: an execution that was
started for the latest drop leaves no drop that waits, so a scene that always fails is not run for
ever. Where the object was replaced or deleted meanwhile, the run fails and says so.

A run that failed is not redriven but run anew: finished shards find their receipts, and what was
lost or damaged in the work bucket is made again, by the code that is deployed now. An execution's
name is its run's id, followed by the drop's sequencer if the scene was noted before. Step Functions
takes a name only once, so a drop whose note was lost meets the execution that it has started. Then
nobody knows whether the rows are still that execution's, or of a drop in between: the next drop
starts an execution of its own. Without its note an old event can be taken for the latest drop; the
scene's next drop puts that right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from swath.errors import PayloadError, TransientError
from swath.messages import Payload, RunOptions, RunRequest, SceneRef
from swath.messages.execution_events import EndedExecution
from swath.messages.versions import Version
from swath.models.catalog import Catalogue, choose_model
from swath.pipeline.executions import Executions
from swath.pipeline.latest_drop import LatestDrop, own_name
from swath.settings import StartRunSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

Outcome = Literal["started", "duplicate", "outdated", "ignored"]

# Files that lie beside a scene and describe it. They are part of the scene, not scenes themselves.
_SIDECARS = (
    *(".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".tiffw", ".wld", ".prj"),
    *(".imd", ".rpb", "_rpc.txt"),
)
# A handler whose note others have overtaken so often is called again.
_MAX_CLAIMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """An object that was put into the scenes bucket."""

    bucket: str
    key: str
    etag: str
    size: int
    at: str
    """ISO 8601 UTC, whole seconds."""
    sequencer: str = ""
    """S3's order of the writes to one key."""

    @property
    def uri(self) -> str:
        """The object's S3 URI, with the key as it is: nothing is percent-encoded."""
        return f"s3://{self.bucket}/{self.key}"


class _Detail(EndedExecution, frozen=True):
    """The fields that are read of an event about a run of any outcome."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of an execution, whatever it came to."""

    execution: str
    """The execution's name."""
    request: RunRequest
    at: datetime

    @classmethod
    def of_execution(cls, detail: Any) -> Self:
        """Read the `detail` of Step Functions' event about an execution that ended.

        Raises:
            PayloadError: this is not such an event, or the execution's input was no run.
        """
        try:
            found = _Detail.read(detail)
            request = found.run_request()
        except msgspec.MsgspecError as error:
            raise PayloadError(f"not the event of a run that ended: {error}") from None
        return cls(execution=found.name, request=request, at=found.ended_at)


class StartSummary(Payload, frozen=True, kw_only=True):
    """What became of a drop, or of the one that waited for a run's end."""

    outcome: Outcome
    uri: str
    run_id: str = ""
    execution: str = ""
    """The name of the execution that does, or did, the run."""
    reason: str = ""


def start_run(
    drop: Drop, *, settings: StartRunSettings, catalogue: Catalogue, states: SFNClient | None = None
) -> StartSummary:
    """Start the run of a dropped object, unless it is no scene or its run is there already.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused; the caller is to try again.
        TransientError: S3 failed, or too many events of one scene came at once; likewise.
    """
    if reason := why_ignored(drop):
        return StartSummary(outcome="ignored", uri=drop.uri, reason=reason)
    request = run_request(drop, settings=settings, catalogue=catalogue)
    executions = Executions.of_machine(settings.state_machine_arn, states)
    uri = LatestDrop.uri_of(settings.work_uri, request)
    for _ in range(_MAX_CLAIMS):
        known, etag = LatestDrop.read(uri)
        note, outcome = _decide(known, request, executions)
        if note != known:
            if not note.write(uri, etag):
                continue
            if outcome == "duplicate":
                # The run may have ended before this drop was noted to wait for it.
                continue
        summary = _finish(note, outcome, uri=uri, executions=executions)
        if outcome is None and note.waits and summary.outcome == "duplicate":
            # Another handler has started it, and it may have ended as above.
            continue
        return summary
    raise _overtaken(uri)


def start_waiting(
    detail: Any, *, settings: StartRunSettings, states: SFNClient | None = None
) -> StartSummary:
    """Start the drop that waits for the end of an execution, if the run was not loaded.

    Args:
        detail: of Step Functions' event about an execution that ended, of a run or by hand.
        settings: of `start_run`.
        states: a client of Step Functions; by default a new one.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused; the caller is to try again.
        TransientError: S3 failed, or too many events of one scene came at once, or Step Functions
            does not say yet that the execution has ended; likewise.
    """
    try:
        end = End.of_execution(detail)
    except PayloadError as error:
        return StartSummary(outcome="ignored", uri="", reason=str(error))
    executions = Executions.of_machine(settings.state_machine_arn, states)
    uri = LatestDrop.uri_of(settings.work_uri, end.request)
    for _ in range(_MAX_CLAIMS):
        known, etag = LatestDrop.read(uri)
        if known is None or known.request.run_id != end.request.run_id:
            return StartSummary(
                outcome="ignored",
                uri=end.request.scene.uri,
                run_id=end.request.run_id,
                reason="the scene's latest drop is not one of this run",
            )
        note, outcome = _take_up(known, executions, end)
        if note == known or note.write(uri, etag):
            return _finish(note, outcome, uri=uri, executions=executions)
    raise _overtaken(uri)


def why_ignored(drop: Drop) -> str | None:
    """Why the object is no scene, if that can be told from its name: None for anything else.

    Everything that only looks odd is run, and fails with its cause where failures are recorded.
    """
    if drop.key.endswith("/") and drop.size == 0:
        return "a folder marker"
    if drop.key.lower().endswith(_SIDECARS):
        return "a file that accompanies a scene"
    return None


def run_request(drop: Drop, *, settings: StartRunSettings, catalogue: Catalogue) -> RunRequest:
    """The run that the drop asks for.

    Raises:
        PayloadError: the settings' options are not possible ones.
    """
    return RunRequest.new(
        scene=SceneRef(uri=drop.uri, etag=drop.etag, dropped_at=drop.at, sequencer=drop.sequencer),
        model=choose_model(
            drop.key, catalogue, prefix=settings.incoming_prefix, default=settings.default_model
        ),
        options=_options(settings),
        requested_at=datetime.now(UTC).isoformat(),
    )


def _options(settings: StartRunSettings) -> RunOptions:
    given: dict[str, Any] = {
        "backend": settings.backend,
        "tolerated_failures": settings.tolerated_failures,
    }
    if settings.score_threshold is not None:
        given["score_threshold"] = settings.score_threshold
    return RunOptions.from_json(given)


def _decide(
    known: LatestDrop | None, request: RunRequest, executions: Executions
) -> tuple[LatestDrop, Outcome | None]:
    """Return the note as it is to be after a drop, and the outcome; None if a run is to start."""
    if known is None:
        return LatestDrop.of(request, request.run_id), None
    drop = Version.of(request)
    same_bytes = known.request.scene.etag == request.scene.etag
    if same_bytes and drop.is_same_drop(known.version):
        return _take_up(known, executions)
    if known.version.is_later_than(drop):
        return known, "outdated"
    if known.request.run_id == request.run_id:
        standing = executions.standing(known.execution, known.request)
        if standing != "over":
            return known.followed_by(request.scene), "duplicate" if standing == "good" else None
    return LatestDrop.of(request, own_name(request)), None


def _take_up(
    known: LatestDrop, executions: Executions, end: End | None = None
) -> tuple[LatestDrop, Outcome | None]:
    """Return the note as it is to be now, and the outcome; None if a run is to start.

    Args:
        known: the note of the latest drop, the handler of which may have died.
        executions: are asked how the run is.
        end: of an execution, where it is known that one has ended.
    """
    if not known.waits:
        ended = end is not None and end.execution == known.execution
        there = ended or executions.have(known.execution)
        return known, "duplicate" if there else None
    ended_at = end.at if end is not None and end.execution == known.execution else None
    standing = executions.standing(known.execution, known.request, ended_at=ended_at)
    if standing == "over":
        return known.taken_up(), None
    return known, "duplicate" if standing == "good" else None


def _finish(
    note: LatestDrop, outcome: Outcome | None, *, uri: str, executions: Executions
) -> StartSummary:
    """Start the noted run where there is no outcome yet, and say what became of the drop."""
    if outcome is None:
        outcome, execution = _launch(executions, note)
        if execution != note.execution:
            _note_execution(uri, note.request, execution)
            note = msgspec.structs.replace(note, execution=execution)
    return StartSummary(
        outcome=outcome,
        uri=note.request.scene.uri,
        run_id=note.request.run_id,
        execution=note.execution,
    )


def _launch(executions: Executions, note: LatestDrop) -> tuple[Outcome, str]:
    """Start the noted execution if it is not there; return its name as well.

    Its name can be another drop's where the note of that was lost.
    """
    drop, name = Version.of(note.request), note.execution
    if executions.start(name, note.request):
        return "started", name
    taken = executions.requested(name)
    if taken is not None and (drop.is_same_drop(taken) or taken.is_later_than(drop)):
        return "duplicate", name
    name = own_name(note.request)
    return "started" if executions.start(name, note.request) else "duplicate", name


def _note_execution(uri: str, request: RunRequest, execution: str) -> None:
    """Note which execution serves a run, unless a later drop's run is noted by now."""
    for _ in range(_MAX_CLAIMS):
        known, etag = LatestDrop.read(uri)
        if known is None or known.request != request:
            return
        if msgspec.structs.replace(known, execution=execution).write(uri, etag):
            return


def _overtaken(uri: str) -> TransientError:
    return TransientError(f"{uri} was written by others {_MAX_CLAIMS} times in between")
