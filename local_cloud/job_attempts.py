"""Run attempts of Batch jobs with the faults that are on: no host, a reclaimed host, no start.

The messages are those of Batch and of the agent on its hosts; `faults.kinds` has the sources.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_cloud.faults import kinds
from local_cloud.faults.registry import FaultRegistry
from local_cloud.jobs import JobSpec
from local_cloud.services import Services

EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
NOT_STARTED = "Task failed to start"
HOST_GONE = "Host EC2 (instance i-0123456789abcdef0) terminated."
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """End of an attempt, as Batch reports it.

    Attributes:
        code: Exit code of the container; None if no agent is left to report it.
        status_reason: `statusReason` of the attempt.
        reason: `reason` of the container, set by the agent on the host; usually empty.
        output: Output of the container.
        timed_out: True if Batch ended the attempt after its timeout.
    """

    code: int | None
    status_reason: str
    reason: str = ""
    output: str = ""
    timed_out: bool = False


def wait_for_host(services: Services, queue: Any, job: Any, parent: Any) -> bool:
    """Keep a job RUNNABLE while it has no host; return whether it should still run.

    An action of the queue may cancel the job, as on AWS, with the time shortened by the local
    cloud's clock.
    """
    start = time.monotonic()
    while (fault := services.faults.current(kinds.NoCapacity)) and not (job.stop or parent.stop):
        if job.job_stopped_reason != fault.reason:
            services.faults.trigger(kinds.NoCapacity)
            job.job_stopped_reason = fault.reason
        limit = _time_limit(queue, fault.reason)
        if limit is not None and time.monotonic() - start >= services.clock.shorten_wait(limit):
            job.job_stopped_reason = (
                f"Canceled by JobStateTimeLimit action due to reason: {fault.reason}"
            )
            return False
        time.sleep(_POLL_SECONDS)
    return True


def run_attempt(
    services: Services,
    process: JobSpec,
    *,
    timeout: float | None,
    should_stop: Callable[[], bool],
) -> AttemptResult:
    """Run an attempt of a job, with the faults that are on."""
    if failed := _start_failure(services.faults):
        return AttemptResult(code=None, status_reason=NOT_STARTED, reason=failed)
    occurred: list[kinds.Fault] = []

    def next_signal() -> int | None:
        if fault := services.faults.trigger(kinds.SpotReclaimed):
            occurred.append(fault)
            return signal.SIGTERM
        if memory := services.faults.trigger(kinds.JobOutOfMemory):
            occurred.append(memory)
            return signal.SIGKILL
        return None

    result = services.jobs.run(
        process, timeout=timeout, should_stop=should_stop, next_signal=next_signal
    )
    match occurred:
        case [kinds.SpotReclaimed(reported="host")]:
            return AttemptResult(code=None, status_reason=HOST_GONE, output=result.output)
        case [kinds.JobOutOfMemory()]:
            reason = "OutOfMemoryError: Container killed due to memory usage"
        case _:
            reason = ""
    return AttemptResult(
        code=result.code,
        status_reason=TIMED_OUT if result.timed_out else EXITED,
        reason=reason,
        output=result.output,
        timed_out=result.timed_out,
    )


def _start_failure(faults: FaultRegistry) -> str:
    """Return the agent's reason why a container never starts; empty if it starts."""
    if faults.trigger(kinds.ImageNotPulled):
        return (
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
            "failed to resolve ref: i/o timeout"
        )
    if faults.trigger(kinds.DockerTimeout):
        return "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"
    return ""


def _time_limit(queue: Any, reason: str) -> float | None:
    """Return the time in s after which an action of the queue cancels a job for a reason."""
    actions = getattr(queue, "job_state_time_limit_actions", ())
    return next((float(a["MaxTimeSeconds"]) for a in actions if a["Reason"] == reason), None)
