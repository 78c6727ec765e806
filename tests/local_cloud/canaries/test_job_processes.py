from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.batch.exceptions import ClientException

from local_cloud.moto_patches import batch_properties, job_processes
from local_cloud.retry_rules import check_retry_rules, should_retry
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually, new_name
from tests.local_cloud.canaries.test_batch_properties import compute_environment

JOB = """
import os, pathlib, sys

sys.path[:0] = ["."]
index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "none")
attempt = os.environ["AWS_BATCH_JOB_ATTEMPT"]
pathlib.Path(f"ran-{index}-{attempt}").write_text(" ".join(sys.argv[1:]))
print("attempt", attempt, "of index", index)
match sys.argv[1]:
    case "fail":
        sys.exit(3)
    case "second":
        sys.exit(attempt == "1")
    case "odd":
        sys.exit(int(index) % 2)
    case "hang":
        while True:
            pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.fixture
def image(aws: Aws, folder: Path) -> str:
    return aws.image(folder, {"Dockerfile": "FROM scratch\n", "job.py": JOB})


@pytest.fixture
def queue(services: Services, aws: Aws) -> str:
    with applied(services, batch_properties):
        made = aws.stack(Environment=compute_environment(aws))
    return aws.client("batch").create_job_queue(
        jobQueueName=new_name(),
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": made["Environment"]}],
    )["jobQueueArn"]


def submit(aws: Aws, queue: str, image: str, what: str, **options: Any) -> str:
    definition = aws.client("batch").register_job_definition(
        jobDefinitionName=new_name(),
        type="container",
        parameters={"what": "nothing"},
        retryStrategy=options.pop("retryStrategy", {"attempts": 1}),
        containerProperties={
            "image": image,
            "command": ["python", "job.py", "Ref::what"],
            "resourceRequirements": [
                {"type": "MEMORY", "value": "128"},
                {"type": "VCPU", "value": "1"},
            ],
        },
    )["jobDefinitionArn"]
    return aws.client("batch").submit_job(
        jobName="canary",
        jobQueue=queue,
        jobDefinition=definition,
        parameters={"what": what},
        **options,
    )["jobId"]


def ended(aws: Aws, job: str) -> dict[str, Any]:
    def over() -> Any:
        (found,) = aws.client("batch").describe_jobs(jobs=[job])["jobs"]
        return found if found["status"] in {"SUCCEEDED", "FAILED"} else None

    return eventually(over, "the job's end")


def test_a_definition_that_was_deregistered_takes_no_job(
    services: Services, aws: Aws, image: str, queue: str
):
    with applied(services, batch_properties, job_processes):
        job = submit(aws, queue, image, "nothing")
        batch = aws.client("batch")
        (described,) = batch.describe_jobs(jobs=[job])["jobs"]
        batch.deregister_job_definition(jobDefinition=described["jobDefinition"])

        name = described["jobDefinition"].rpartition("/")[2].partition(":")[0]
        for identifier in (described["jobDefinition"], name):
            with pytest.raises(ClientError, match="is not active"):
                batch.submit_job(jobName="late", jobQueue=queue, jobDefinition=identifier)


def test_canary_job_processes(services: Services, aws: Aws, queue: str, image: str, folder: Path):
    assert ended(aws, submit(aws, queue, image, "fail"))["status"] == "SUCCEEDED"
    assert not list(folder.glob("ran-*"))

    with applied(services, job_processes):
        job = ended(aws, submit(aws, queue, image, "fail"))

    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 3
    assert "reason" not in job["container"]
    assert (folder / "ran-none-1").read_text() == "fail"


def test_each_child_of_an_array_gets_its_index(
    services: Services, aws: Aws, queue: str, image: str, folder: Path
):
    with applied(services, job_processes):
        job = ended(aws, submit(aws, queue, image, "any", arrayProperties={"size": 3}))

    assert job["status"] == "SUCCEEDED"
    assert job["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    assert sorted(path.name for path in folder.glob("ran-*")) == [
        "ran-0-1",
        "ran-1-1",
        "ran-2-1",
    ]


def test_an_array_fails_when_one_child_does(services: Services, aws: Aws, queue: str, image: str):
    with applied(services, job_processes):
        job = ended(aws, submit(aws, queue, image, "odd", arrayProperties={"size": 3}))
        child = ended(aws, f"{job['jobId']}:1")

    assert (job["status"], job["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert child["container"]["exitCode"] == 1


def test_a_job_is_tried_again_and_its_log_can_be_read(
    services: Services, aws: Aws, queue: str, image: str
):
    with applied(services, job_processes):
        submitted = submit(aws, queue, image, "second", retryStrategy={"attempts": 3})
        job = ended(aws, submitted)

    assert job["status"] == "SUCCEEDED"
    assert [a["container"]["exitCode"] for a in job["attempts"]] == [1, 0]
    stream = job["attempts"][-1]["container"]["logStreamName"]
    events = aws.client("logs").get_log_events(logGroupName="/aws/batch/job", logStreamName=stream)[
        "events"
    ]
    assert events[-1]["message"] == "attempt 2 of index none"


def test_a_job_that_takes_too_long_is_killed(services: Services, aws: Aws, queue: str, image: str):
    with applied(services, job_processes):
        submitted = submit(aws, queue, image, "hang", timeout={"attemptDurationSeconds": 1})
        job = ended(aws, submitted)

    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Job attempt duration exceeded timeout"


def test_a_terminated_job_ends_with_the_reason_given(
    services: Services, aws: Aws, queue: str, image: str, folder: Path
):
    with applied(services, job_processes):
        submitted = submit(aws, queue, image, "hang")
        eventually(lambda: list(folder.glob("ran-*")), "the job's start")
        aws.client("batch").terminate_job(jobId=submitted, reason="enough")
        job = ended(aws, submitted)

    assert (job["status"], job["statusReason"]) == ("FAILED", "enough")


def test_a_job_that_takes_too_long_is_not_tried_again(
    services: Services, aws: Aws, queue: str, image: str
):
    rules = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "*", "action": "RETRY"}]}
    with applied(services, job_processes):
        submitted = submit(
            aws, queue, image, "hang", timeout={"attemptDurationSeconds": 1}, retryStrategy=rules
        )
        job = ended(aws, submitted)

    assert len(job["attempts"]) == 1


@pytest.mark.parametrize(
    ("rules", "again"),
    [
        ([], True),
        ([{"onExitCode": "3", "action": "EXIT"}], False),
        ([{"onExitCode": "4", "action": "exit"}], True),
        (
            [
                {"onStatusReason": "Host EC2*", "action": "retry"},
                {"onReason": "*", "action": "exit"},
            ],
            False,
        ),
        ([{"onStatusReason": "Essential*", "onExitCode": "3", "action": "RETRY"}], True),
        # Only an asterisk at the end is one, and case counts.
        ([{"onStatusReason": "*exited", "action": "EXIT"}], True),
        ([{"onStatusReason": "essential*", "action": "EXIT"}], True),
        ([{"onStatusReason": "Essential", "action": "EXIT"}], True),
    ],
)
def test_the_first_rule_that_matches_an_exit_decides(rules: list[dict[str, str]], again: bool):
    assert should_retry(rules, 3, "Essential container in task exited") is again


def test_a_container_that_never_started_has_a_reason_and_no_exit_code():
    pulled = [
        {"onExitCode": "*", "action": "EXIT"},
        {"onReason": "CannotPullContainerError:*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ]

    assert should_retry(
        pulled, None, "Task failed to start", "CannotPullContainerError: no such image"
    )
    assert not should_retry(
        pulled, None, "Task failed to start", "CannotStartContainerError: no device"
    )


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"action": "EXIT"}] * 6, "6 rules"),
        ([{"onStatusReason": "Host*gone", "action": "RETRY"}], "Host"),
        ([{"onReason": "OutOfMemory (killed)", "action": "EXIT"}], "OutOfMemory"),
        ([{"onExitCode": "1?3", "action": "RETRY"}], "onExitCode"),
        ([{"onExitCode": "3", "action": "STOP"}], "STOP"),
    ],
)
def test_rules_that_batch_does_not_take_are_refused(rules: list[dict[str, str]], words: str):
    with pytest.raises(ClientException, match=words):
        check_retry_rules(rules)


def test_an_event_reports_that_a_job_waits_for_a_host(
    services: Services, aws: Aws, queue: str, image: str
):
    events = aws.queue()
    pattern = {
        "source": ["aws.batch"],
        "detail": {
            "jobQueue": [queue],
            "status": ["RUNNABLE"],
            "arrayProperties": {"index": [0, {"exists": False}]},
        },
    }
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(events)})
    with applied(services, job_processes):
        alone = submit(aws, queue, image, "any")
        array = submit(aws, queue, image, "any", arrayProperties={"size": 3})
        for job in (alone, array):
            ended(aws, job)
        received: list[Any] = []

        def both() -> bool:
            received.extend(aws.messages(events))
            return len(received) == 2

        eventually(both, "the events of the job and of the array's first child")
    aws.drop_rule(rule)

    assert {event["detail"]["jobId"] for event in received} == {alone, f"{array}:0"}
