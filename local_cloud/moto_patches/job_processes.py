"""Run Batch jobs, single or as an array, with retries and AWS's reasons for a failure.

AWS: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html,
https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html

Moto 5.2.5 needs Docker for that; without it, it marks every job as succeeded. It sends no event of
a job; here one is sent when a job first becomes runnable. Moto also runs a deregistered definition.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from moto.batch.exceptions import ClientException
from moto.batch.models import Job
from moto.batch.utils import JobStatus
from moto.batch_simple.models import BatchSimpleBackend
from moto.events.models import events_backends

from local_cloud.faults.kinds import DiskFull
from local_cloud.job_attempts import AttemptResult, run_attempt, wait_for_host
from local_cloud.jobs import JobSpec
from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.service_permissions import require_for_job
from local_cloud.retry_rules import should_retry
from local_cloud.services import Services, run_in_background

logger = logging.getLogger("local_cloud")

NAME = "job_processes"

_CHILD_FAILED = "Array Child Job failed"


def apply(patcher: Patcher, services: Services) -> None:
    """Run jobs in the local cloud's processes."""

    def submit_job(
        simple: Any,
        job_name: str,
        job_def_id: str,
        job_queue: str,
        array_properties: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> tuple[str, str, str]:
        submission = _JobSubmission.create(simple, job_name, job_def_id, job_queue, options)
        size = (array_properties or {}).get("size")
        parent = submission.create_job({"size": size} if size else {})
        if size:
            _run_array(services, submission, parent, int(size))
        else:
            services.jobs.submit(partial(_run_job, services, submission, parent, parent))
            _send_runnable(submission, [parent])
        return job_name, parent.job_id, parent.arn

    def container_details(job: Any) -> dict[str, Any]:
        # Reason for a job's failure, which moto shows only in lists of jobs.
        reason = getattr(job, "container_reason", "") or None
        fields = {"exitCode": job.exit_code, "reason": reason}
        details: dict[str, Any] = original_details(job)
        return details | {k: v for k, v in fields.items() if v is not None}

    patcher.replace(BatchSimpleBackend, "submit_job", submit_job)
    original_details = patcher.replace(Job, "_container_details", container_details)


@dataclass(frozen=True, slots=True)
class _JobSubmission:
    """Request to run a job; all children of an array share it."""

    backend: Any
    name: str
    definition: Any
    queue: Any
    options: Mapping[str, Any]

    @classmethod
    def create(
        cls, simple: Any, name: str, definition: str, queue: str, options: Mapping[str, Any]
    ) -> _JobSubmission:
        backend = simple.backend
        job_definition = _select_definition(backend, definition)
        if job_definition is None:
            raise ClientException(f"Job definition {definition} does not exist")
        if job_definition.status != "ACTIVE":
            raise ClientException(f"Job definition {definition} is not active")
        job_queue = backend.get_job_queue(queue)
        if job_queue is None:
            raise ClientException(f"Job queue {queue} does not exist")
        return cls(backend, name, job_definition, job_queue, options)

    def create_job(self, array: Mapping[str, Any], job_id: str | None = None) -> Any:
        """Create a job in moto, and register it."""
        job = Job(
            self.name,
            self.definition,
            self.queue,
            self.backend,
            log_backend=self.backend.logs_backend,
            container_overrides=self.options.get("container_overrides"),
            eks_properties_override=None,
            depends_on=self.options.get("depends_on"),
            parameters=self.options.get("parameters"),
            all_jobs=self.backend._jobs,
            timeout=self.options.get("timeout"),
            array_properties=dict(array),
            provided_job_id=job_id,
            tags=self.options.get("tags"),
        )
        job.status = JobStatus.RUNNABLE
        self.backend._jobs[job.job_id] = job
        return job

    def variables(self, job: Any) -> dict[str, str]:
        """Return the environment variables of the definition, overridden by the submission's."""
        overrides = (self.options.get("container_overrides") or {}).get("environment", [])
        both = [*self.definition.container_properties["environment"], *overrides]
        variables = {entry["name"]: str(entry["value"]) for entry in both}
        if "index" in job.array_properties:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.array_properties["index"])
        return variables | {
            "AWS_BATCH_JOB_ID": job.job_id,
            "AWS_BATCH_JQ_NAME": self.queue.name,
        }


def _select_definition(backend: Any, identifier: str) -> Any:
    """Return a job definition; for a name without a revision, the latest active one."""
    active = [
        definition
        for definition in backend._job_definitions.values()
        if definition.name == identifier and definition.status == "ACTIVE"
    ]
    if active:
        return max(active, key=lambda definition: int(definition.revision))
    return backend.get_job_definition(identifier)


def _run_array(services: Services, submission: _JobSubmission, parent: Any, size: int) -> None:
    children = [
        submission.create_job({"statusSummary": {}, "index": index}, f"{parent.job_id}:{index}")
        for index in range(size)
    ]
    parent._child_jobs = children
    parent.status = JobStatus.PENDING
    parent.job_started_at = dt.datetime.now()  # noqa: DTZ005 - as moto's own
    futures = [
        services.jobs.submit(partial(_run_job, services, submission, child, parent))
        for child in children
    ]
    run_in_background(f"array job {parent.job_id}", lambda: _finish_array(parent, futures))
    _send_runnable(submission, children)


def _send_runnable(submission: _JobSubmission, jobs: Sequence[Any]) -> None:
    """Send the event that a job waits for a host, without waiting for the event's targets.

    https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
    """
    backend = submission.backend
    events = [
        {
            "Source": "aws.batch",
            "DetailType": "Batch Job State Change",
            "Resources": [job.arn],
            "Detail": json.dumps(
                {
                    "jobArn": job.arn,
                    "jobName": submission.name,
                    "jobId": job.job_id,
                    "jobQueue": submission.queue.arn,
                    "status": JobStatus.RUNNABLE.value,
                    "attempts": [],
                    "jobDefinition": submission.definition.arn,
                    "arrayProperties": job.array_properties,
                }
            ),
        }
        for job in jobs
    ]
    bus = events_backends[backend.account_id][backend.region_name]
    run_in_background(f"{submission.name} is runnable", lambda: bus.put_events(events))


def _finish_array(parent: Any, futures: list[Future[bool]]) -> None:
    succeeded = [future.result() for future in futures]
    # TerminateJob has set its own reason on the parent.
    if not all(succeeded) and not parent.stop:
        parent.job_stopped_reason = _CHILD_FAILED
    parent._mark_stopped(success=all(succeeded))


def _run_job(services: Services, submission: _JobSubmission, job: Any, parent: Any) -> bool:
    """Run a job's attempts, and return whether one of them succeeded."""
    try:
        succeeded = _run_attempts(services, submission, job, parent)
    except Exception as error:
        logger.exception("job %s could not be run", job.job_id)
        job.job_stopped_reason = f"CannotStartContainerError: {error}"
        succeeded = False
    job._mark_stopped(success=succeeded)
    return succeeded


def _run_attempts(services: Services, submission: _JobSubmission, job: Any, parent: Any) -> bool:
    strategy = submission.definition.retry_strategy or {}
    for number in range(1, int(strategy.get("attempts", 1)) + 1):
        if not wait_for_host(services, submission.queue, job, parent) or job.stop or parent.stop:
            return False
        result = _run_attempt(services, submission, job, parent, number)
        if result.code == 0:
            return True
        job.job_stopped_reason = job.job_stopped_reason if job.stop else result.status_reason
        # An attempt that exceeded its timeout is final, regardless of the rules:
        # https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
        if result.timed_out or not should_retry(
            strategy.get("evaluateOnExit", []), result.code, result.status_reason, result.reason
        ):
            return False
    return False


def _run_attempt(
    services: Services, submission: _JobSubmission, job: Any, parent: Any, number: int
) -> AttemptResult:
    container = submission.definition.container_properties
    image = services.image(container["image"], submission.backend.region_name)
    _require_permissions(services, container)
    words = [*image.entry_point, *(_fill_command(submission, job) or image.command)]
    environment = {
        **submission.variables(job),
        **services.environment,
        **_credentials(services, container),
        "AWS_BATCH_JOB_ATTEMPT": str(number),
        "PYTHONPATH": ":".join(map(str, image.python_path)),
        "PYTHONUNBUFFERED": "1",
    }
    job.job_stopped_reason = None
    job.status = JobStatus.RUNNING
    job.job_started_at = dt.datetime.now()  # noqa: DTZ005 - as moto's own
    job.log_stream_name = job._stream_name
    job._start_attempt()
    disk_full = services.faults.trigger(DiskFull, lambda f: f.process in submission.definition.name)
    result = run_attempt(
        services,
        JobSpec(
            command=[sys.executable if word in {"python", "python3"} else word for word in words],
            folder=image.folder,
            environment=environment,
            log=f"job-{submission.name}-{job.job_id.replace(':', '-')}.log",
            disk_kib=disk_full.kib if disk_full else None,
        ),
        timeout=job._get_attempt_duration(),
        should_stop=lambda: job.stop or parent.stop,
    )
    _record_attempt(job, result)
    return result


def _require_permissions(services: Services, container: Mapping[str, Any]) -> None:
    """Require what the agent on a host needs from the execution role, if there is one."""
    if role := container.get("executionRoleArn"):
        require_for_job(
            services.access,
            role,
            logs=container["logConfiguration"]["options"]["awslogs-group"],
            repository=container["image"].partition("/")[2].rpartition(":")[0],
        )


def _credentials(services: Services, container: Mapping[str, Any]) -> dict[str, str]:
    role = container.get("jobRoleArn")
    return services.access.container_variables(role, "ecs-tasks.amazonaws.com") if role else {}


def _fill_command(submission: _JobSubmission, job: Any) -> list[str]:
    """Return the job's command with its parameters filled in."""
    overrides = submission.options.get("container_overrides") or {}
    command = overrides.get("command") or submission.definition.container_properties["command"]
    return list(job._add_parameters_to_command(list(command)))


def _record_attempt(job: Any, result: AttemptResult) -> None:
    job.exit_code = result.code
    job.job_stopped_at = dt.datetime.now()  # noqa: DTZ005 - as moto's own
    job._stop_attempt()
    job.latest_attempt["statusReason"] = result.status_reason
    container = {"exitCode": result.code, "reason": result.reason or None}
    job.latest_attempt["container"] |= {k: v for k, v in container.items() if v is not None}
    job.container_reason = result.reason
    lines = result.output.splitlines()
    if not lines:
        return
    logs, group, stream = job._log_backend, job._log_group, job._stream_name
    with _logs_lock:
        logs.ensure_log_group(group)
        logs.ensure_log_stream(group, stream)
        now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        logs.put_log_events(group, stream, [{"timestamp": now, "message": m} for m in lines])


_logs_lock = threading.Lock()
