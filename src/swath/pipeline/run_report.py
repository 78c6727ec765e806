"""The summary of a run, `summary.json`: beside its results, whether it succeeded or failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from swath import storage
from swath.errors import PayloadError
from swath.messages import MergeSummary, Payload, RunRequest, TileCounts
from swath.messages.execution_events import Failure
from swath.storage.encoding import parse_json
from swath.storage.output_folder import SUMMARY

ITEM = "item.json"
Status = Literal["succeeded", "failed", "timed_out", "aborted"]


class RunReport(Payload, frozen=True, kw_only=True):
    """What became of a run: the content of `summary.json`."""

    run_id: str
    status: Status
    scene: str
    model: str
    tiles: TileCounts = TileCounts()
    detections: int = 0
    warnings: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Sentences about what looks wrong, from `MergeSummary`."""
    error: str | None = None
    """The error's class or the name that its service gave it, of a run that failed."""
    cause: str | None = None
    """One line that says why the run failed, and names the shard, if it was one."""
    ended_at: str | None = None
    """ISO 8601 UTC, of a run that failed in the cloud."""
    seconds: dict[str, float] = {}  # noqa: RUF012 (msgspec copies it)
    """By stage: plan, infer, merge, and load if there was a database; of a local run."""

    def to_text(self) -> str:
        """Return the summary's file."""
        return json.dumps(self.to_json(), indent=2) + "\n"

    @classmethod
    def of_success(cls, request: RunRequest, merge: MergeSummary) -> RunReport:
        """Return the summary of a run whose results are there."""
        return cls(
            run_id=request.run_id,
            status="succeeded",
            scene=request.scene.uri,
            model=request.model.name,
            tiles=merge.tiles,
            detections=merge.detections,
            warnings=merge.warnings,
        )


def results_folder(results_uri: str, run_id: str) -> str:
    """Return where the results of a run lie."""
    return storage.join(results_uri, "runs", run_id)


def write_failure(detail: Mapping[str, Any], results_uri: str) -> bool:
    """Write the summary of a run that failed where its results would lie.

    A run that was published, or that failed once more since then, keeps the summary that it has.

    Args:
        detail: of Step Functions' event about the execution, with its true error and cause.
        results_uri: the bucket or folder of results.

    Returns:
        Whether it was written.

    Raises:
        PayloadError: this is no such event, or the execution's input was no run.
        TransientError: S3 failed in a way that passes.
    """
    report = _failed(detail)
    folder = results_folder(results_uri, report.run_id)
    uri = storage.join(folder, SUMMARY)
    earlier, etag = _read(uri)
    if earlier and (earlier.status == "succeeded" or _end(earlier) > _end(report)):
        return False
    if storage.exists(storage.join(folder, ITEM)):
        return False
    # Whoever has written it meanwhile knows of something later.
    return storage.write_if_unchanged(uri, report.to_text().encode(), etag) is not None


def _failed(detail: Mapping[str, Any]) -> RunReport:
    failure = Failure.of_execution(detail)
    return RunReport(
        run_id=failure.request.run_id,
        status=failure.status,
        scene=failure.request.scene.uri,
        model=failure.request.model.name,
        error=failure.error,
        cause=failure.cause,
        ended_at=failure.at.isoformat(timespec="milliseconds"),
    )


def _end(report: RunReport) -> str:
    return report.ended_at or ""


def _read(uri: str) -> tuple[RunReport | None, str | None]:
    """Return the summary at an address and its ETag; None of one that cannot be read."""
    try:
        content, etag = storage.read_with_etag(uri)
    except FileNotFoundError:
        return None, None
    try:
        return RunReport.from_json(parse_json(content)), etag
    except (ValueError, PayloadError):
        return None, etag
