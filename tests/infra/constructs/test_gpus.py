"""The GPU queue and the job that waits in it."""

from __future__ import annotations

import base64
import email
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from moto.batch.utils import lowercase_first_key

from infra import check
from infra.images import ROOT
from local_cloud.retry_rules import check_retry_rules, should_retry
from swath.errors.exit_codes import JobExit


def test_spot_comes_first_and_on_demand_where_there_is_none(dev: Any):
    queue = dev.one("AWS::Batch::JobQueue")
    order = sorted(queue["ComputeEnvironmentOrder"], key=lambda entry: entry["Order"])

    names = [entry["ComputeEnvironment"]["Fn::GetAtt"][0] for entry in order]
    kinds = [dev.one("AWS::Batch::ComputeEnvironment", n)["ComputeResources"] for n in names]
    assert [kind["Type"] for kind in kinds] == ["SPOT", "EC2"]
    assert kinds[0]["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"


def test_hosts_are_the_smallest_with_a_gpu_and_grow_from_nothing(dev: Any):
    for environment in dev.resources("AWS::Batch::ComputeEnvironment").values():
        resources = environment["ComputeResources"]
        assert set(resources["InstanceTypes"]) == {"g6.xlarge", "g5.xlarge", "g4dn.xlarge"}
        assert (resources["MinvCpus"], resources["MaxvCpus"]) == (0, 16)
        assert "DesiredvCpus" not in resources
        assert resources["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]
        assert all("public" in subnet["Ref"] for subnet in resources["Subnets"])
        (group,) = resources["SecurityGroupIds"]
        assert group["Fn::GetAtt"][0].startswith("NetworkGpuHosts")


def test_a_changed_launch_template_reaches_the_hosts(dev: Any):
    (name,) = dev.resources("AWS::EC2::LaunchTemplate")
    for environment in dev.resources("AWS::Batch::ComputeEnvironment").values():
        template = environment["ComputeResources"]["LaunchTemplate"]
        assert template["Version"] == {"Fn::GetAtt": [name, "LatestVersionNumber"]}
        # In place, and not before a job has had all of its time.
        assert environment["ReplaceComputeEnvironment"] is False
        minutes = environment["UpdatePolicy"]["JobExecutionTimeoutMinutes"]
        timeout = dev.one("AWS::Batch::JobDefinition")["Timeout"]["AttemptDurationSeconds"]
        assert minutes * 60 >= timeout


def test_a_run_submits_to_the_latest_revision_whichever_it_began_with(dev: Any):
    """A redriven execution keeps its definition; a deployment deregisters the last revision."""
    (name,) = dev.resources("AWS::Batch::JobDefinition")
    (runs,) = [
        machine["DefinitionString"]["Fn::Join"][1]
        for machine in dev.resources("AWS::StepFunctions::StateMachine").values()
        if machine["StateMachineName"] == "swath-runs"
    ]
    submitted = [
        after
        for before, after in itertools.pairwise(runs)
        if isinstance(before, str) and before.endswith('"JobDefinition":"')
    ]

    # NAME of arn:aws:batch:REGION:ACCOUNT:job-definition/NAME:REVISION.
    part = {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": name}]}]}
    assert submitted == [{"Fn::Select": [0, {"Fn::Split": [":", part]}]}] * 2


def test_a_job_does_not_reach_the_credentials_of_its_host(dev: Any):
    data = dev.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    parts = email.message_from_string(
        "".join(
            part
            if isinstance(part, str)
            else base64.b64encode(part["Fn::Base64"].encode()).decode()
            for part in data["Fn::Join"][1]
        )
    )
    (script,) = parts.get_payload()
    (user,) = re.findall(
        r"^USER (\d+)$", (ROOT / "batch_jobs/infer_shard/Dockerfile").read_text(), re.MULTILINE
    )

    # Batch merges only user data in parts with its own.
    assert parts.get_content_type() == "multipart/mixed"
    assert script.get_content_type() == "text/x-shellscript"
    assert script.get_payload(decode=True).decode().splitlines() == [
        "#!/bin/bash",
        f"iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner {user} -j REJECT",
    ]


@pytest.mark.parametrize("backend", ["lambda", "sagemaker-serverless"])
def test_without_batch_there_is_no_gpu_part(synthesize: Callable[..., Any], backend: str):
    stack = synthesize(backend=backend)
    kinds = {resource["Type"] for resource in stack.json["Resources"].values()}

    assert not [kind for kind in kinds if kind.startswith("AWS::Batch")]
    assert "AWS::EC2::LaunchTemplate" not in kinds
    assert not [name for name in stack.json["Resources"] if "Gpu" in name]
    assert "JobQueueArn" not in stack.json["Outputs"]
    assert set(check.state_machines(stack.json)) == {"swath-runs", "swath-record-failure"}
    assert "batch" not in json.dumps(stack.machine).replace("Batch", "batch")
    assert "batch:SubmitJob" not in json.dumps(stack.json)
    images = json.loads((stack.folder / "swath.assets.json").read_text())["dockerImages"]
    assert images
    assert not [i for i in images.values() if "infer_shard" in i["source"].get("dockerFile", "")]
    plan = stack.one("AWS::Lambda::Function", "PlanScene")["Environment"]["Variables"]
    assert plan["SWATH_BATCH"] == "false"


def test_a_host_has_an_encrypted_disk_and_answers_no_container_behind_a_bridge(dev: Any):
    template = dev.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]

    assert template["MetadataOptions"]["HttpTokens"] == "required"
    assert template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (disk,) = template["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert disk["Ebs"]["VolumeSize"] == 100
    assert disk["Ebs"]["VolumeType"] == "gp3"
    # The root disk of Amazon Linux 2023; a disk of another name would be one more.
    assert disk["DeviceName"] == "/dev/xvda"


def test_a_job_that_no_host_can_run_does_not_wait_for_ever(synthesize: Callable[..., Any]):
    actions = synthesize(gpu_wait_hours=2).one("AWS::Batch::JobQueue")["JobStateTimeLimitActions"]

    assert {action["Reason"]: action["MaxTimeSeconds"] for action in actions} == {
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 1200,
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 1200,
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": 7200,
    }
    assert {(action["State"], action["Action"]) for action in actions} == {("RUNNABLE", "CANCEL")}


def test_a_job_has_a_gpu_and_the_plan(dev: Any):
    container = dev.one("AWS::Batch::JobDefinition")["ContainerProperties"]
    needs = {need["Type"]: need["Value"] for need in container["ResourceRequirements"]}

    assert needs["GPU"] == "1"
    # The smallest g4dn, g5 and g6 have this much, of which the host keeps some for itself.
    assert int(needs["VCPU"]) <= 4
    assert int(needs["MEMORY"]) < 16 * 1024 * 0.93
    assert {"Name": "SWATH_DEVICE", "Value": "cuda"} in container["Environment"]
    assert container["Command"] == [
        *("python", "-m", "batch_jobs.infer_shard"),
        *("--plan-uri", "Ref::plan_uri"),
    ]


def test_a_job_is_tried_again_for_what_passes_and_for_nothing_else(dev: Any):
    definition = dev.one("AWS::Batch::JobDefinition")
    strategy = definition["RetryStrategy"]
    rules = lowercase_first_key(strategy)["evaluateOnExit"]

    check_retry_rules(rules)
    # https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html
    assert 1 < strategy["Attempts"] <= 10
    assert definition["Timeout"]["AttemptDurationSeconds"] > 0
    ended = "Essential container in task exited"
    assert should_retry(rules, None, "Host EC2 (instance i-0123) terminated.")
    assert should_retry(rules, JobExit.INTERRUPTED, ended)
    assert should_retry(rules, JobExit.TRANSIENT, ended)
    for reason in (
        "CannotPullContainerError: Error response from daemon",
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
    ):
        assert should_retry(rules, None, "Task failed to start", reason)
    for code in set(JobExit) - {JobExit.INTERRUPTED, JobExit.TRANSIENT}:
        assert not should_retry(rules, code, ended)
    assert not should_retry(
        rules, 137, ended, "OutOfMemoryError: Container killed due to memory usage"
    )
