"""Start the run of a dropped scene: once, however often its event is delivered.

An execution carries its run's id as its name, and Step Functions takes a name only once. What is
left to decide is what to do when the name is taken:

* the event is one that the execution has seen already, or the run is under way or done: nothing;
* the run failed and the scene was dropped again: the execution is redriven, and its finished shards
  find their receipts; where it cannot be redriven, was planned by another version of swath, or
  failed because of tiles that only its earlier states can see again, a new execution takes the
  run's id and the end of the last one as its name, so that duplicates still meet;
* another version of the scene was dropped in between (A, then B, then A again): a new execution,
  since the rows in the database are B's, or soon will be.

For the last case the newest drop of each scene and model is noted in the work bucket.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import boto3

from swath import storage
from swath.catalogue import Catalogue, choose_model
from swath.errors import RunIncompleteError
from swath.payloads import Payload, RunOptions, RunRequest, SceneRef, is_readable_plan
from swath.settings import StartRunSettings
from swath.storage import RunPaths

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef as Execution

Outcome = Literal["started", "redriven", "duplicate", "ignored"]

# Files that lie beside a scene and describe it. They are part of the scene, not scenes themselves.
_SIDECARS = (
    *(".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".tiffw", ".wld", ".prj"),
    *(".imd", ".rpb", "_rpc.txt"),
)
# The merge's word for tiles that failed. A redrive would begin with the merge and find them again.
_INCOMPLETE = RunIncompleteError.__name__
_UNDER_WAY_OR_DONE = {"RUNNING", "PENDING_REDRIVE", "SUCCEEDED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """An object that was put into the scenes bucket."""

    bucket: str
    key: str
    etag: str
    size: int
    at: str
    """ISO 8601 UTC, whole seconds."""

    @property
    def uri(self) -> str:
        """The object's S3 URI, with the key as it is: nothing is percent-encoded."""
        return f"s3://{self.bucket}/{self.key}"


class StartSummary(Payload, frozen=True, kw_only=True):
    """What became of a drop."""

    outcome: Outcome
    uri: str
    run_id: str = ""
    execution: str = ""
    """The name of the execution that does, or did, the run."""
    reason: str = ""


class _Note(Payload, frozen=True, kw_only=True):
    """The newest drop of one scene for one model."""

    run_id: str
    execution: str
    dropped_at: str


def start_run(
    drop: Drop, *, settings: StartRunSettings, catalogue: Catalogue, states: SFNClient | None = None
) -> StartSummary:
    """Start the run of a dropped object, unless it is no scene or its run is there already.

    Raises:
        botocore.exceptions.ClientError: Step Functions or S3 refused; the caller is to try again.
    """
    if reason := why_ignored(drop):
        return StartSummary(outcome="ignored", uri=drop.uri, reason=reason)
    request = run_request(drop, settings=settings, catalogue=catalogue)
    note_uri = _note_uri(settings.work_uri, request)
    note = _read_note(note_uri)
    machine = _Machine(settings.state_machine_arn, states or boto3.client("stepfunctions"))
    outcome, execution = _launch(machine, request, note, settings.work_uri)
    if note is None or _time(note.dropped_at) <= _time(drop.at):
        mine = _Note(run_id=request.run_id, execution=execution, dropped_at=drop.at)
        storage.write_json(note_uri, mine.to_json())
    return StartSummary(outcome=outcome, uri=drop.uri, run_id=request.run_id, execution=execution)


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
        scene=SceneRef(uri=drop.uri, etag=drop.etag, dropped_at=drop.at),
        model=choose_model(
            drop.key, catalogue, prefix=settings.incoming_prefix, default=settings.default_model
        ),
        options=RunOptions.from_json(
            {"backend": settings.backend, "tolerated_failures": settings.tolerated_failures}
        ),
    )


@dataclass(frozen=True, slots=True)
class _Machine:
    """The state machine."""

    arn: str
    states: SFNClient

    def start(self, name: str, request: RunRequest) -> bool:
        """Start an execution; False where the name is taken."""
        try:
            self.states.start_execution(
                stateMachineArn=self.arn, name=name, input=json.dumps(request.to_json())
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def describe(self, name: str) -> Execution:
        return self.states.describe_execution(executionArn=self._execution(name))

    def redrive(self, name: str, execution: Execution) -> bool:
        """Go on where the execution failed; False where that is too late, or of no use."""
        if execution.get("redriveStatus") != "REDRIVABLE" or execution.get("error") == _INCOMPLETE:
            return False
        try:
            self.states.redrive_execution(executionArn=self._execution(name))
        except self.states.exceptions.ExecutionNotRedrivable:
            # Another delivery of the event may have been quicker.
            return self.describe(name)["status"] in _UNDER_WAY_OR_DONE
        return True

    def _execution(self, name: str) -> str:
        return f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"


def _launch(
    machine: _Machine, request: RunRequest, note: _Note | None, work_uri: str
) -> tuple[Outcome, str]:
    """Start or redrive the run's execution where there is a need to; return its name as well."""
    is_newest = (
        note is None
        or note.run_id == request.run_id
        or _time(request.scene.dropped_at) < _time(note.dropped_at)
    )
    name = note.execution if note and note.run_id == request.run_id else request.run_id
    while not machine.start(name, request):
        taken = machine.describe(name)
        if _has_seen(taken, request) or (is_newest and taken["status"] in _UNDER_WAY_OR_DONE):
            return "duplicate", name
        if is_newest and _is_readable(request, work_uri) and machine.redrive(name, taken):
            return "redriven", name
        name = _next_name(name, request.run_id, taken)
    return "started", name


def _is_readable(request: RunRequest, work_uri: str) -> bool:
    """Tell whether this version of swath can go on from the run's plan, or there is none yet."""
    try:
        return is_readable_plan(storage.read_json(RunPaths(work_uri, request.run_id).plan))
    except FileNotFoundError:
        return True


def _has_seen(execution: Execution, request: RunRequest) -> bool:
    """Whether the drop came before the execution did: its event is delivered once more.

    An event's time is cut to whole seconds, so the drop is up to a second later than it says.
    """
    return _time(request.scene.dropped_at) + timedelta(seconds=1) <= execution["startDate"]


def _next_name(name: str, run_id: str, execution: Execution) -> str:
    """The name after a taken one: the run's id and when the taken execution ended, or began.

    Everybody who finds the name taken arrives at the same next one. The number always grows, also
    where an execution fails in the second in which it was named.
    """
    ended = execution.get("stopDate") or execution["startDate"]
    last = int(name.removeprefix(run_id).removeprefix("-") or 0)
    return f"{run_id}-{max(int(ended.timestamp()), last + 1)}"


def _note_uri(work_uri: str, request: RunRequest) -> str:
    names = json.dumps([request.scene.uri, request.model.name])
    return storage.join(work_uri, "scenes", f"{hashlib.sha256(names.encode()).hexdigest()}.json")


def _read_note(uri: str) -> _Note | None:
    try:
        return _Note.from_json(storage.read_json(uri))
    except FileNotFoundError:
        return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
