"""Faults of Batch jobs: no host for them, hosts that go, containers that never start.

The words are those of Batch and of the agent on its hosts; `kinds` has the sources.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_cloud.faults import kinds
from local_cloud.faults.active import Faults
from local_cloud.jobs import JobProcess
from local_cloud.services import Services

EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
NOT_STARTED = "Task failed to start"
HOST_GONE = "Host EC2 (instance i-0123456789abcdef0) terminated."
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptExit:
    """The end of an attempt, as Batch reports it.

    Attributes:
        code: exit code of the container; None if nobody is left to tell it.
        status_reason: of the attempt.
        reason: of the container, by the agent on the host; mostly empty.
        output: what the container wrote.
        timed_out: whether Batch ended it, for its time was over.
    """

    code: int | None
    status_reason: str
    reason: str = ""
    output: str = ""
    timed_out: bool = False


def wait_for_host(services: Services, queue: Any, job: Any, parent: Any) -> bool:
    """Keep a job RUNNABLE while there is no host for it; return whether it is still to run.

    An action of the queue may cancel it, as on AWS with the time by the clock of the local cloud.
    """
    began = time.monotonic()
    while (fault := services.faults.on(kinds.NoCapacity)) and not (job.stop or parent.stop):
        if job.job_stopped_reason != fault.reason:
            services.faults.meet(kinds.NoCapacity)
            job.job_stopped_reason = fault.reason
        limit = _limit(queue, fault.reason)
        if limit is not None and time.monotonic() - began >= services.clock.wait(limit):
            job.job_stopped_reason = (
                f"Canceled by JobStateTimeLimit action due to reason: {fault.reason}"
            )
            return False
        time.sleep(_POLL_SECONDS)
    return True


def run_attempt(
    services: Services,
    process: JobProcess,
    *,
    timeout: float | None,
    stopped: Callable[[], bool],
) -> AttemptExit:
    """Run an attempt of a job, with what befalls it."""
    if failed := _not_started(services.faults):
        return AttemptExit(code=None, status_reason=NOT_STARTED, reason=failed)
    befell: list[kinds.Fault] = []

    def signalled() -> int | None:
        if fault := services.faults.meet(kinds.SpotReclaimed):
            befell.append(fault)
            return signal.SIGTERM
        if memory := services.faults.meet(kinds.JobOutOfMemory):
            befell.append(memory)
            return signal.SIGKILL
        return None

    ended = services.jobs.run(process, timeout=timeout, stopped=stopped, signalled=signalled)
    match befell:
        case [kinds.SpotReclaimed(reported="host")]:
            return AttemptExit(code=None, status_reason=HOST_GONE, output=ended.output)
        case [kinds.JobOutOfMemory()]:
            reason = "OutOfMemoryError: Container killed due to memory usage"
        case _:
            reason = ""
    return AttemptExit(
        code=ended.code,
        status_reason=TIMED_OUT if ended.timed_out else EXITED,
        reason=reason,
        output=ended.output,
        timed_out=ended.timed_out,
    )


def _not_started(faults: Faults) -> str:
    """Return the agent's reason for a container that never starts; empty if it does."""
    if faults.meet(kinds.ImageNotPulled):
        return (
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
            "failed to resolve ref: i/o timeout"
        )
    if faults.meet(kinds.DockerTimeout):
        return "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"
    return ""


def _limit(queue: Any, reason: str) -> float | None:
    """Return after how many seconds an action of the queue cancels a job for a reason."""
    actions = getattr(queue, "job_state_time_limit_actions", ())
    return next((float(a["MaxTimeSeconds"]) for a in actions if a["Reason"] == reason), None)
