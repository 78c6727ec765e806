"""The state machine that ends GPU jobs for which no host comes, run on the local cloud's Batch."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.check import state_machines
from local_cloud.jobs import DEFAULT_CONCURRENCY
from local_cloud.moto_patches import batch_properties, job_processes, service_task_casing
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, Aws, applied, eventually, new_name
from tests.local_cloud.canaries.test_batch_properties import compute_environment
from tests.local_cloud.canaries.test_job_processes import (  # noqa: F401 - fixtures
    ended,
    folder,
    image,
    submit,
)


@pytest.fixture
def environments(services: Services, aws: Aws) -> list[str]:
    """Two compute environments; nothing starts hosts in the local cloud."""
    with applied(services, batch_properties):
        return [aws.stack(Environment=compute_environment(aws))["Environment"] for _ in range(2)]


@pytest.fixture
def queue(aws: Aws, environments: list[str]) -> str:
    return aws.client("batch").create_job_queue(
        jobQueueName=new_name(),
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environments[0]}],
    )["jobQueueArn"]


@pytest.fixture
def watch(aws: Aws, assembly: Path, environments: list[str]) -> str:
    """The machine of the template, without the wait."""
    template = json.loads((assembly / "swath.template.json").read_text())
    definition = state_machines(template)["swath-gpu-watch"]
    definition["States"]["WaitForHost"]["Seconds"] = 0
    definition["States"]["FindClusters"]["Parameters"]["ComputeEnvironments"] = environments
    return aws.client("stepfunctions").create_state_machine(
        name=new_name(), definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]


@pytest.fixture
def no_hosts(services: Services) -> Iterator[threading.Event]:
    """Every slot is taken until the event is set, so that jobs stay runnable."""
    free = threading.Event()
    for _ in range(DEFAULT_CONCURRENCY):
        services.jobs.submit(free.wait)
    yield free
    free.set()


@pytest.mark.parametrize("size", [None, 2])
def test_a_job_for_which_no_host_comes_is_ended_with_the_reason(
    services: Services,
    aws: Aws,
    queue: str,
    image: str,  # noqa: F811
    watch: str,
    no_hosts: threading.Event,
    size: int | None,
):
    with applied(services, job_processes, service_task_casing):
        array: dict[str, Any] = {"arrayProperties": {"size": size}} if size else {}
        job = submit(aws, queue, image, "any", **array)
        done = aws.execute(watch, {"job": f"{job}:0" if size else job})
        no_hosts.set()
        about = ended(aws, job)

    assert done["status"] == "SUCCEEDED"
    assert about["status"] == "FAILED"
    assert "No GPU host started within 4 h" in about["statusReason"]
    assert "quota" in about["statusReason"]


def test_a_job_that_has_moved_on_is_left_alone(
    services: Services,
    aws: Aws,
    queue: str,
    image: str,  # noqa: F811
    watch: str,
):
    with applied(services, job_processes, service_task_casing):
        job = submit(aws, queue, image, "any")
        ended(aws, job)
        done = aws.execute(watch, {"job": job})

    assert done["status"] == "SUCCEEDED"
    assert ended(aws, job)["status"] == "SUCCEEDED"


def test_a_job_that_waits_for_its_turn_at_a_host_is_not_ended(
    services: Services,
    aws: Aws,
    queue: str,
    image: str,  # noqa: F811
    watch: str,
    environments: list[str],
    no_hosts: threading.Event,
):
    """One environment's cluster has a host: the watch goes on waiting until the job has ended."""
    add_host(aws, environments[1])
    with applied(services, job_processes, service_task_casing):
        job = submit(aws, queue, image, "any")
        started = aws.client("stepfunctions").start_execution(
            stateMachineArn=watch, name=new_name(), input=json.dumps({"job": job})
        )["executionArn"]
        eventually(lambda: "IsThereAHost" in entered(aws, started), "a check of the hosts")
        no_hosts.set()
        done = aws.ended(started)

    assert done["status"] == "SUCCEEDED"
    assert ended(aws, job)["status"] == "SUCCEEDED"


def add_host(aws: Aws, environment: str) -> None:
    """Register a host with an environment's cluster."""
    (found,) = aws.client("batch").describe_compute_environments(computeEnvironments=[environment])[
        "computeEnvironments"
    ]
    (host,) = aws.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)[
        "Instances"
    ]
    aws.client("ecs").register_container_instance(
        cluster=found["ecsClusterArn"],
        instanceIdentityDocument=json.dumps({"instanceId": host["InstanceId"]}),
    )


def entered(aws: Aws, execution: str) -> list[str]:
    """The states that an execution has been in."""
    events = aws.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    details = (event.get("stateEnteredEventDetails") for event in events)
    return [found["name"] for found in details if found]
