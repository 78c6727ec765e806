"""Tests of faults of Batch jobs, as Batch reports them; the test defines its own retry rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from moto.batch.models import batch_backends

from local_cloud.clients import ACCOUNT, REGION
from local_cloud.faults.kinds import (
    DockerTimeout,
    Fault,
    ImageNotPulled,
    JobOutOfMemory,
    NoCapacity,
    SpotReclaimed,
    TimeLapse,
)
from local_cloud.job_attempts import EXITED, HOST_GONE, NOT_STARTED
from local_cloud.moto_patches import job_processes
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually
from tests.local_cloud.canaries.test_job_processes import ended, folder, image, queue, submit

__all__ = ["folder", "image", "queue"]


@pytest.mark.parametrize(
    ("fault", "code", "status_reason", "reason"),
    [
        (SpotReclaimed(reported="container"), 143, EXITED, None),
        (SpotReclaimed(reported="host"), None, HOST_GONE, None),
        (ImageNotPulled(), None, NOT_STARTED, "CannotPullContainerError"),
        (DockerTimeout(), None, NOT_STARTED, "DockerTimeoutError"),
        (JobOutOfMemory(), 137, EXITED, "OutOfMemoryError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_an_attempt_ends_as_batch_reports_it(
    services: Services,
    aws: Aws,
    queue: str,
    image: str,
    fault: Fault,
    code: int | None,
    status_reason: str,
    reason: str | None,
):
    services.faults.switch_on(fault)
    with applied(services, job_processes):
        job = ended(aws, submit(aws, queue, image, "hang"))

    (attempt,) = job["attempts"]
    assert job["status"] == "FAILED"
    for about in (job["container"], attempt["container"]):
        assert about.get("exitCode") == code
        assert about.get("reason", "").partition(":")[0] == (reason or "")
    assert job["statusReason"] == attempt["statusReason"] == status_reason


def test_a_job_without_a_host_waits_until_there_is_one(
    services: Services, aws: Aws, queue: str, image: str, folder: Path
):
    number = services.faults.switch_on(NoCapacity())
    with applied(services, job_processes):
        job = submit(aws, queue, image, "any")
        eventually(lambda: services.faults.occurrences(number), "the job to wait")
        waiting = described(aws, job)
        services.faults.switch_off(number)
        after = ended(aws, job)

    assert (waiting["status"], waiting["statusReason"]) == ("RUNNABLE", NoCapacity().reason)
    assert after["status"] == "SUCCEEDED"
    assert "statusReason" not in after


def described(aws: Aws, job: str) -> dict[str, Any]:
    (found,) = aws.client("batch").describe_jobs(jobs=[job])["jobs"]
    return dict(found)


def test_a_queue_cancels_a_job_that_waits_too_long(
    services: Services, aws: Aws, queue: str, image: str
):
    made = batch_backends[ACCOUNT][REGION].get_job_queue(queue)
    made.job_state_time_limit_actions = [
        {"Reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MaxTimeSeconds": 0},
        {"Reason": NoCapacity().reason, "MaxTimeSeconds": 14_400},
    ]
    services.faults.switch_on(NoCapacity())
    services.faults.switch_on(TimeLapse(factor=144_000))
    with applied(services, job_processes):
        job = ended(aws, submit(aws, queue, image, "any"))

    assert job["status"] == "FAILED"
    assert job["statusReason"] == (
        f"Canceled by JobStateTimeLimit action due to reason: {NoCapacity().reason}"
    )
