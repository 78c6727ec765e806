"""The GPU queue and the job that waits in it."""

from __future__ import annotations

from typing import Any


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


def test_a_job_that_no_host_can_run_does_not_wait_for_ever(dev: Any):
    actions = dev.one("AWS::Batch::JobQueue")["JobStateTimeLimitActions"]

    assert {action["State"] for action in actions} == {"RUNNABLE"}
    assert all(action["Reason"].startswith("MISCONFIGURATION:") for action in actions)


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


def test_a_job_is_tried_again_only_when_its_host_is_taken(dev: Any):
    definition = dev.one("AWS::Batch::JobDefinition")

    assert definition["RetryStrategy"]["EvaluateOnExit"] == [
        {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
        {"Action": "EXIT", "OnReason": "*"},
    ]
    assert definition["RetryStrategy"]["Attempts"] > 1
    assert definition["Timeout"]["AttemptDurationSeconds"] > 0
