from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local_cloud.moto_patches import batch_properties, job_processes, service_task_casing
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, new_name
from tests.local_cloud.canaries.test_batch_properties import compute_environment


def test_canary_service_task_casing(services: Services, aws: Aws, tmp_path: Path):
    machine = aws.machine(("Run", submission(services, aws, tmp_path, "raise SystemExit(0)")))

    assert aws.execute(machine, {"size": 2})["status"] == "FAILED"
    with applied(services, service_task_casing, job_processes):
        done = aws.execute(machine, {"size": 2})

    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"])["ArrayProperties"]["Size"] == 2


def test_a_failed_job_fails_its_task_with_the_jobs_description(
    services: Services, aws: Aws, tmp_path: Path
):
    machine = aws.machine(("Run", submission(services, aws, tmp_path, "raise SystemExit(9)")))
    with applied(services, service_task_casing, job_processes):
        failed = aws.execute(machine, {"size": 2})

    cause = json.loads(failed["cause"])
    assert failed["error"] == "States.TaskFailed"
    assert cause["StatusReason"] == "Array Child Job failed"
    assert cause["Status"] == "FAILED"


def submission(services: Services, aws: Aws, folder: Path, program: str) -> dict[str, Any]:
    """A task as CDK writes it."""
    image = aws.image(folder / "image", {"Dockerfile": "FROM scratch\n"})
    batch = aws.client("batch")
    with applied(services, batch_properties):
        made = aws.stack(Environment=compute_environment(aws))
    queue = batch.create_job_queue(
        jobQueueName=new_name(),
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": made["Environment"]}],
    )["jobQueueArn"]
    definition = batch.register_job_definition(
        jobDefinitionName=new_name(),
        type="container",
        containerProperties={
            "image": image,
            "command": ["python", "-c", program],
            "memory": 128,
            "vcpus": 1,
        },
    )["jobDefinitionArn"]
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::batch:submitJob.sync",
        "Parameters": {
            "JobName": "canary",
            "JobQueue": queue,
            "JobDefinition": definition,
            "ArrayProperties": {"Size.$": "$.size"},
            "ContainerOverrides": {"Environment": [{"Name": "A", "Value": "b"}]},
        },
    }
