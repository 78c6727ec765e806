"""Write the summary of a run, `summary.json`, beside the run's results, even if the run failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from swath import storage
from swath.errors import PayloadError
from swath.messages import Acquisition, MergeSummary, Payload, RunRequest, TileCounts
from swath.messages.execution_events import RunFailure
from swath.observability.version import __version__
from swath.storage.encoding import parse_json
from swath.storage.output_folder import SUMMARY

ITEM_FILE = "item.json"
RunStatus = Literal["succeeded", "failed", "timed_out", "aborted"]


class RunReport(Payload, frozen=True, kw_only=True):
    """Summary of a run: the content of `summary.json`."""

    run_id: str
    status: RunStatus
    scene: str
    model: str
    tiles: TileCounts = TileCounts()
    detections: int = 0
    """Number of detections in the results."""
    acquisition: Acquisition | None = None
    """Acquisition of the scene, as its metadata state it; None unless the run succeeded."""
    valid_area_m2: float | None = None
    """Area of the scene's valid pixels on the ellipsoid in m²; None unless the run succeeded."""
    version: str = ""
    """Version of swath that wrote the summary; empty in summaries of earlier versions."""
    warnings: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Warnings, one sentence each, from `MergeSummary`."""
    error: str | None = None
    """Class of the error, or the name that AWS reports; None unless the run failed."""
    cause: str | None = None
    """Cause of the failure in one line, naming any failed shard; None unless the run failed."""
    ended_at: str | None = None
    """Time at which the run ended, ISO 8601 UTC; only for a run that failed in the cloud."""
    seconds: dict[str, float] = {}  # noqa: RUF012 (msgspec copies it)
    """Duration of each stage in s (plan, infer, merge, formats, load); only for a local run."""

    def to_text(self) -> str:
        """Return the summary as the text of `summary.json`."""
        return json.dumps(self.to_json(), indent=2) + "\n"

    @classmethod
    def from_merge(cls, request: RunRequest, merge: MergeSummary) -> RunReport:
        """Return the summary of a run that succeeded."""
        return cls(
            run_id=request.run_id,
            status="succeeded",
            scene=request.scene.uri,
            model=request.model.name,
            version=__version__,
            tiles=merge.tiles,
            detections=merge.detections,
            acquisition=merge.acquisition,
            valid_area_m2=merge.valid_area_m2,
            warnings=merge.warnings,
        )


def results_folder(results_uri: str, run_id: str) -> str:
    """Return the address of the folder with a run's results."""
    return storage.join(results_uri, "runs", run_id)


def write_failure_report(detail: Mapping[str, Any], results_uri: str) -> bool:
    """Write the summary of a failed run into the folder of its results.

    A run that was published, or that has a summary of a later failure, keeps its summary.

    Args:
        detail: Field `detail` of Step Functions' event about the execution, with the true error and
            cause that `swath.pipeline.causes` returns.
        results_uri: Bucket or folder of results.

    Returns:
        Whether the summary was written.

    Raises:
        PayloadError: The detail is not that of such an event, or the execution's input is not a
            run request.
        TransientError: S3 failed, and a retry can succeed.
    """
    report = _failure_report(detail)
    folder = results_folder(results_uri, report.run_id)
    uri = storage.join(folder, SUMMARY)
    earlier, etag = _read_report(uri)
    if earlier and (earlier.status == "succeeded" or _end_time(earlier) > _end_time(report)):
        return False
    if storage.exists(storage.join(folder, ITEM_FILE)):
        return False
    # If another process has written the summary meanwhile, that summary is kept.
    return storage.write_if_unchanged(uri, report.to_text().encode(), etag) is not None


def _failure_report(detail: Mapping[str, Any]) -> RunReport:
    failure = RunFailure.from_event_detail(detail)
    return RunReport(
        run_id=failure.request.run_id,
        status=failure.status,
        scene=failure.request.scene.uri,
        model=failure.request.model.name,
        version=__version__,
        error=failure.error,
        cause=failure.cause,
        ended_at=failure.ended_at.isoformat(timespec="milliseconds"),
    )


def _end_time(report: RunReport) -> str:
    return report.ended_at or ""


def _read_report(uri: str) -> tuple[RunReport | None, str | None]:
    """Return the summary at an address and its ETag.

    The summary is None if it is missing or damaged; the ETag is None if it is missing.
    """
    try:
        content, etag = storage.read_with_etag(uri)
    except FileNotFoundError:
        return None, None
    try:
        return RunReport.from_json(parse_json(content)), etag
    except (ValueError, PayloadError):
        return None, etag
