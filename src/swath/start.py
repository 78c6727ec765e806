"""Start the run of a dropped scene: once, however often its event is delivered.

The latest drop of each scene and model is noted in the work bucket, with the execution that is to
run it, before that is started. The note is written under the condition that nobody else has written
it in the meantime, so handlers of events that arrive at once take turns. `swath.versions` says
which of two drops is the later one. Then a drop

* that is noted already is an event delivered again: its execution is started if it is not there;
* that is earlier than the noted one does nothing: its object is no longer in the bucket;
* of the same bytes as the noted one does nothing as long as their run is under way or done;
* starts an execution else: the scene is new, or other bytes were dropped in between, or the run
  failed, or another package is deployed.

A run that failed is not redriven but run anew: finished shards find their receipts, and what was
lost or damaged in the work bucket is made again, by the code that is deployed now. An execution's
name is its run's id, followed by the drop's sequencer if the scene was noted before. Step Functions
takes a name only once, so one drop meets itself even where the note was lost. Without its note an
old event can be taken for the latest drop; the scene's next drop puts that right.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import boto3
import msgspec

from swath import storage
from swath.catalogue import Catalogue, choose_model
from swath.errors import PayloadError, TransientError
from swath.payloads import Payload, RunOptions, RunRequest, SceneRef
from swath.settings import StartRunSettings
from swath.versions import Version, comparable

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef as Execution

Outcome = Literal["started", "duplicate", "outdated", "ignored"]

# Files that lie beside a scene and describe it. They are part of the scene, not scenes themselves.
_SIDECARS = (
    *(".aux.xml", ".ovr", ".msk", ".tfw", ".tifw", ".tiffw", ".wld", ".prj"),
    *(".imd", ".rpb", "_rpc.txt"),
)
_UNDER_WAY = {"RUNNING", "PENDING_REDRIVE"}
# A handler whose note others have overtaken so often is called again.
_MAX_CLAIMS = 20
# A name has 80 characters, of which the run's id takes 36 and a hyphen one.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_NAMEABLE = re.compile("[0-9A-Za-z]{1,43}")


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


class StartSummary(Payload, frozen=True, kw_only=True):
    """What became of a drop."""

    outcome: Outcome
    uri: str
    run_id: str = ""
    execution: str = ""
    """The name of the execution that does, or did, the run."""
    reason: str = ""


class _Note(Payload, frozen=True, kw_only=True):
    """The latest drop of one scene for one model, and the run that it is served by."""

    request: RunRequest
    """Of that run; the drop that it was started for may be an earlier one of the same bytes."""
    execution: str
    sequencer: str
    """Of the latest drop, like `dropped_at`."""
    dropped_at: str

    @classmethod
    def of(cls, request: RunRequest, execution: str) -> _Note:
        """Note that an execution is to be started for a drop."""
        return cls(
            request=request,
            execution=execution,
            sequencer=request.scene.sequencer,
            dropped_at=request.scene.dropped_at,
        )

    @property
    def version(self) -> Version:
        """The latest drop."""
        scene = msgspec.structs.replace(
            self.request.scene, sequencer=self.sequencer, dropped_at=self.dropped_at
        )
        return Version.of(msgspec.structs.replace(self.request, scene=scene))


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
    machine = _Machine(settings.state_machine_arn, states or boto3.client("stepfunctions"))
    note_uri = _note_uri(settings.work_uri, request)
    for _ in range(_MAX_CLAIMS):
        known, etag = _read_note(note_uri)
        note, outcome = _decide(known, request, machine)
        if note != known and not _write_note(note_uri, note, etag):
            continue
        if outcome is None:
            outcome, execution = _launch(machine, note)
            if execution != note.execution:
                _note_execution(note_uri, note.request, execution)
                note = msgspec.structs.replace(note, execution=execution)
        return StartSummary(
            outcome=outcome,
            uri=drop.uri,
            run_id=note.request.run_id,
            execution=note.execution,
        )
    raise TransientError(f"{note_uri} was written by others {_MAX_CLAIMS} times in between")


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
        options=RunOptions.from_json(
            {"backend": settings.backend, "tolerated_failures": settings.tolerated_failures}
        ),
        requested_at=datetime.now(UTC).isoformat(),
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

    def requested(self, name: str) -> Version | None:
        """Return the drop that an execution was started for; None where its input is no run."""
        try:
            return Version.of(RunRequest.from_json(json.loads(self._describe(name)["input"])))
        except (ValueError, PayloadError):
            return None

    def has(self, name: str) -> bool:
        """Return whether an execution was started at all."""
        try:
            self._describe(name)
        except self.states.exceptions.ExecutionDoesNotExist:
            return False
        return True

    def serves(self, name: str) -> bool:
        """Return whether an execution is under way, or has loaded its run."""
        try:
            execution = self._describe(name)
        except self.states.exceptions.ExecutionDoesNotExist:
            return False
        if execution["status"] in _UNDER_WAY:
            return True
        output = json.loads(execution.get("output") or "{}")
        superseded = output.get("load", {}).get("superseded", False)
        return execution["status"] == "SUCCEEDED" and not superseded

    def _describe(self, name: str) -> Execution:
        arn = self.arn.replace(":stateMachine:", ":execution:")
        return self.states.describe_execution(executionArn=f"{arn}:{name}")


def _decide(
    known: _Note | None, request: RunRequest, machine: _Machine
) -> tuple[_Note, Outcome | None]:
    """Return the note as it is to be after a drop, and the outcome; None if a run is to start."""
    if known is None:
        return _Note.of(request, request.run_id), None
    drop = Version.of(request)
    same_bytes = known.request.scene.etag == request.scene.etag
    if same_bytes and drop.is_same_drop(known.version):
        waiting = drop.is_same_drop(Version.of(known.request)) and not machine.has(known.execution)
        return known, None if waiting else "duplicate"
    if known.version.is_later_than(drop):
        return known, "outdated"
    if known.request.run_id == request.run_id and machine.serves(known.execution):
        scene = request.scene
        latest = {"sequencer": scene.sequencer, "dropped_at": scene.dropped_at}
        return msgspec.structs.replace(known, **latest), "duplicate"
    return _Note.of(request, _own_name(request)), None


def _launch(machine: _Machine, note: _Note) -> tuple[Outcome, str]:
    """Start the noted execution if it is not there; return its name as well.

    Its name can be another drop's where the note of that was lost.
    """
    drop, name = Version.of(note.request), note.execution
    if machine.start(name, note.request):
        return "started", name
    taken = machine.requested(name)
    if taken is not None and (drop.is_same_drop(taken) or taken.is_later_than(drop)):
        return "duplicate", name
    name = _own_name(note.request)
    return "started" if machine.start(name, note.request) else "duplicate", name


def _own_name(request: RunRequest) -> str:
    """Return the name of the execution that one drop, and no other, may start."""
    drop = comparable(request.scene.sequencer)
    if not drop:
        drop = str(int(Version.of(request).dropped_at.timestamp()))
    if not _NAMEABLE.fullmatch(drop):
        drop = hashlib.sha256(drop.encode()).hexdigest()[:32]
    return f"{request.run_id}-{drop}"


def _note_uri(work_uri: str, request: RunRequest) -> str:
    names = json.dumps([request.scene.uri, request.model.name])
    return storage.join(work_uri, "scenes", f"{hashlib.sha256(names.encode()).hexdigest()}.json")


def _note_execution(uri: str, request: RunRequest, execution: str) -> None:
    """Note which execution serves a run, unless a later drop's run is noted by now."""
    for _ in range(_MAX_CLAIMS):
        known, etag = _read_note(uri)
        if known is None or known.request != request:
            return
        if _write_note(uri, msgspec.structs.replace(known, execution=execution), etag):
            return


def _write_note(uri: str, note: _Note, etag: str | None) -> bool:
    """Write the note unless it is no longer the one of that ETag."""
    return storage.write_if_unchanged(uri, msgspec.json.encode(note), etag) is not None


def _read_note(uri: str) -> tuple[_Note | None, str | None]:
    """Return the note and the ETag to replace it by; no note where it cannot be read."""
    try:
        data, etag = storage.read_with_etag(uri)
    except FileNotFoundError:
        return None, None
    try:
        return _Note.from_json(json.loads(data)), etag
    except (ValueError, PayloadError):
        return None, etag
