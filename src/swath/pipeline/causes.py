"""Determine the true cause of a failed run: the error of the shard that failed first.

For a Distributed Map, Step Functions reports only that its failure threshold was exceeded; for an
array job, Batch reports only that a child failed. The shard's own error is recorded in its child
execution or child job. Batch keeps only a job's exit code, so a failing job also writes its error
to the work bucket.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import PayloadError, TransientError
from swath.errors.service_errors import translate_transient_errors
from swath.messages import JobFailure
from swath.messages.failure_cause import format_cause, job_error_name, nested_object, parse_cause
from swath.pipeline.paths import RunPaths

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_MAP_FAILED_ERROR = "States.ExceedToleratedFailureThreshold"
_MAP_FAILED_TEXT = "tolerated failure threshold"
_CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5})


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Clients of the services that record a shard's own error."""

    sfn: SFNClient
    batch: BatchClient


@functools.cache
def default_clients() -> Clients:
    """Return the clients of this process, created at the first call."""
    return Clients(
        sfn=boto3.client("stepfunctions", config=_CLIENT_CONFIG),
        batch=boto3.client("batch", config=_CLIENT_CONFIG),
    )


def resolve_cause(
    detail: Mapping[str, Any], *, work_uri: str, services: Clients | None = None
) -> dict[str, Any]:
    """Return the detail of a failed execution's event, with its true error and cause.

    Args:
        detail: Field `detail` of Step Functions' "Execution Status Change" event.
        work_uri: Bucket or folder to which failed jobs write their errors.
        services: Clients of the services; by default those of this process.

    Returns:
        The same fields, with the true `error` and a readable `cause`. If a shard failed, the cause
        names the shard.

    Raises:
        TransientError: A service failed and a retry can succeed, or the service does not list
            a failed shard yet.
        botocore.exceptions.ClientError: A service refused the request.
    """
    services = services or default_clients()
    status, error, cause = detail["status"], detail.get("error"), detail.get("cause")
    with translate_transient_errors(f"the cause of {detail['executionArn']} cannot be read"):
        if error == _MAP_FAILED_ERROR or _MAP_FAILED_TEXT in (cause or ""):
            error, cause = _map_cause(services.sfn, detail)
        elif job := _parse_job(cause):
            error, cause = _job_cause(services.batch, job, work_uri, error)
    return {
        **detail,
        "error": error or status,
        "cause": format_cause(cause, status=status),
    }


def _map_cause(sfn: SFNClient, detail: Mapping[str, Any]) -> tuple[str, str]:
    """Return the error and cause of the child execution that failed first."""
    execution_arn = detail["executionArn"]
    pages = sfn.get_paginator("list_map_runs").paginate(executionArn=execution_arn)
    # A retried Map has one map run for each attempt; the latest one counts.
    map_runs = [map_run for page in pages for map_run in page["mapRuns"]]
    latest = max(map_runs, key=lambda map_run: map_run["startDate"], default=None)
    redriven_at = (detail.get("redriveDate") or 0) / 1000
    failed = _failed_children(sfn, latest["mapRunArn"], redriven_at) if latest else iter(())
    first = min(failed, key=lambda child: child["stopDate"], default=None)
    if first is None:
        # ListExecutions is eventually consistent.
        raise TransientError(f"no failed shard of {execution_arn} is listed yet")
    child = sfn.describe_execution(executionArn=first["executionArn"])
    error = child.get("error") or child["status"]
    cause = format_cause(child.get("cause"), status=child["status"])
    return error, _with_shard(json.loads(child.get("input") or "{}").get("index"), cause)


def _failed_children(sfn: SFNClient, map_run: str, redriven_at: float) -> Iterator[Any]:
    """Yield the child executions that failed since the last redrive, given in s since 1970."""
    pages = sfn.get_paginator("list_executions")
    for status in ("FAILED", "TIMED_OUT"):
        for page in pages.paginate(mapRunArn=map_run, statusFilter=status):
            for child in page["executions"]:
                if child["stopDate"].timestamp() >= redriven_at:
                    yield child


def _parse_job(cause: str | None) -> dict[str, Any]:
    """Return the description of a job in a cause, with lower-case keys; empty if there is none."""
    parsed = parse_cause(cause or "")
    return parsed if isinstance(parsed.get("jobid"), str) else {}


def _job_cause(
    batch: BatchClient, job: dict[str, Any], work_uri: str, error: str | None
) -> tuple[str, str]:
    """Return the error and cause of a job; for an array job, of the child that failed first."""
    run_id, index = str(job.get("jobname")), 0
    if nested_object(job, "arrayproperties").get("size"):
        described = _first_failed_child(batch, job["jobid"])
        index = int(described["arrayProperties"]["index"])
        job = parse_cause(json.dumps(described, default=str))
    container = nested_object(job, "container")
    failure = _read_job_failure(RunPaths(work_uri, run_id), job["jobid"], container.get("exitcode"))
    if failure is None:
        return job_error_name(job) or error or "States.TaskFailed", _with_shard(
            index, format_cause(json.dumps(job))
        )
    log = container.get("logstreamname")
    return failure.error, _with_shard(
        index, f"{failure.cause} (log stream {log})" if log else failure.cause
    )


def _first_failed_child(batch: BatchClient, array: str) -> Any:
    """Return the description of the first child job of an array to fail."""
    pages = batch.get_paginator("list_jobs").paginate(arrayJobId=array, jobStatus="FAILED")
    failed = (child for page in pages for child in page["jobSummaryList"])
    first = min(failed, key=lambda child: child.get("stoppedAt", 0), default=None)
    if first is None:
        raise TransientError(f"no failed child of the job {array} is listed yet")
    return batch.describe_jobs(jobs=[first["jobId"]])["jobs"][0]


def _read_job_failure(paths: RunPaths, job: str, exit_code: int | None) -> JobFailure | None:
    """Return the error that a job's last attempt wrote; None if the attempt wrote none.

    An earlier attempt may have written the file. So the error counts only if it has the exit code
    of the last attempt.
    """
    uri = paths.job_failure(job)
    try:
        failure = JobFailure.from_json(storage.read_json(uri))
    except FileNotFoundError:
        return None
    except (ClientError, PayloadError, ValueError) as error:
        logger.warning("%s cannot be read: %s", uri, error)
        return None
    return failure if failure.exit_code == exit_code else None


def _with_shard(index: Any, cause: str) -> str:
    return f"shard {index}: {cause}" if index is not None else cause
