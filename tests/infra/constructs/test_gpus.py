"""The GPU queue and the job that waits in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.batch.utils import lowercase_first_key

from batch_jobs.infer_shard.__main__ import Exit
from local_cloud.moto_patches.job_processes import check_retry_rules, retries


def test_spot_comes_first_and_on_demand_where_there_is_none(dev: Any):
    queue = dev.one("AWS::Batch::JobQueue")
    order = sorted(queue["ComputeEnvironmentOrder"], key=lambda entry: entry["Order"])

    names = [entry["ComputeEnvironment"]["Fn::GetAtt"][0] for entry in order]
    kinds = [dev.one("AWS::Batch::ComputeEnvironment", n)["ComputeResources"] for n in names]
    assert [kind["Type"] for kind in kinds] == ["SPOT", "EC2"]
    assert kinds[0]["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"


def test_hosts_are_of_gpu_families_alone_and_grow_from_nothing(dev: Any):
    for environment in dev.resources("AWS::Batch::ComputeEnvironment").values():
        resources = environment["ComputeResources"]
        assert set(resources["InstanceTypes"]) == {"g6", "g5", "g4dn"}
        assert (resources["MinvCpus"], resources["MaxvCpus"]) == (0, 16)
        assert "DesiredvCpus" not in resources
        assert resources["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]
        assert all("public" in subnet["Ref"] for subnet in resources["Subnets"])
        (group,) = resources["SecurityGroupIds"]
        assert group["Fn::GetAtt"][0].startswith("NetworkGpuHosts")


def test_a_host_has_an_encrypted_disk_and_keeps_its_role_from_containers(dev: Any):
    template = dev.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]

    assert template["MetadataOptions"]["HttpTokens"] == "required"
    assert template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (disk,) = template["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert disk["Ebs"]["VolumeSize"] == 100


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
    assert retries(rules, None, "Host EC2 (instance i-0123) terminated.")
    assert retries(rules, Exit.INTERRUPTED, ended)
    assert retries(rules, Exit.TRANSIENT, ended)
    for reason in (
        "CannotPullContainerError: Error response from daemon",
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
    ):
        assert retries(rules, None, "Task failed to start", reason)
    for code in set(Exit) - {Exit.INTERRUPTED, Exit.TRANSIENT}:
        assert not retries(rules, code, ended)
    assert not retries(rules, 137, ended, "OutOfMemoryError: Container killed due to memory usage")
