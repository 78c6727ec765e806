"""The GPU hosts: none while nothing is queued, Spot while there is any, on-demand otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Size
from aws_cdk.aws_batch import (
    EcsMachineImage,
    EcsMachineImageType,
    JobQueue,
    JobStateTimeLimitAction,
    JobStateTimeLimitActionsAction,
    JobStateTimeLimitActionsReason,
    JobStateTimeLimitActionsState,
    ManagedEc2EcsComputeEnvironment,
    OrderedComputeEnvironment,
)
from aws_cdk.aws_ec2 import (
    BlockDevice,
    BlockDeviceVolume,
    EbsDeviceVolumeType,
    InstanceClass,
    InstanceType,
    ISecurityGroup,
    IVpc,
    LaunchTemplate,
    LaunchTemplateHttpTokens,
    MultipartBody,
    MultipartUserData,
    SubnetSelection,
    SubnetType,
    UserData,
)
from aws_cdk.aws_iam import ManagedPolicy, Role, ServicePrincipal
from constructs import Construct

from infra.constructs.infer_shard_job import JOB_TIMEOUT, JOB_UID
from infra.grants import acknowledge
from infra.name_tags import tag_by_path
from swath.errors import SettingsError

_HOST_POLICY = "service-role/AmazonEC2ContainerServiceforEC2Role"
# The image, unpacked, with its CUDA libraries, twice over while it is being pulled.
_HOST_DISK = Size.gibibytes(100)
# For jobs that no host of the queue can ever run.
_MISTAKE = Duration.minutes(20)


class GpuQueue(Construct):
    """A job queue before two compute environments that shrink to nothing.

    Attributes:
        queue: the queue.
        environments: the ARNs of the compute environments.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: IVpc,
        security_group: ISecurityGroup,
        instance_types: Sequence[str],
        max_vcpus: int,
        spot_bid_percentage: int,
        wait: Duration,
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self._security_group = security_group
        self._instance_types = [InstanceType(name) for name in instance_types if "." in name]
        self._families = [_family(name) for name in instance_types if "." not in name]
        self._max_vcpus = max_vcpus
        self._role = self._host_role()
        self._template = self._launch_template()
        spot = self._environment("Spot", spot_bid_percentage=spot_bid_percentage)
        on_demand = self._environment("OnDemand")
        self.environments = [e.compute_environment_arn for e in (spot, on_demand)]
        self.queue = JobQueue(
            self,
            "Queue",
            compute_environments=[
                OrderedComputeEnvironment(compute_environment=environment, order=order)
                for order, environment in enumerate((spot, on_demand), start=1)
            ],
            job_state_time_limit_actions=[
                _cancel(JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE, _MISTAKE),
                _cancel(JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT, _MISTAKE),
                _cancel(JobStateTimeLimitActionsReason.INSUFFICIENT_INSTANCE_CAPACITY, wait),
            ],
        )

    def _environment(
        self, name: str, *, spot_bid_percentage: int | None = None
    ) -> ManagedEc2EcsComputeEnvironment:
        """One of the two; CDK's default strategies are the ones that AWS advises for each."""
        environment = ManagedEc2EcsComputeEnvironment(
            self,
            name,
            spot=spot_bid_percentage is not None,
            spot_bid_percentage=spot_bid_percentage,
            minv_cpus=0,
            maxv_cpus=self._max_vcpus,
            instance_types=self._instance_types,
            instance_classes=self._families,
            use_optimal_instance_classes=False,
            images=[EcsMachineImage(image_type=EcsMachineImageType.ECS_AL2023_NVIDIA)],
            instance_role=self._role,
            launch_template=self._template,
            vpc=self._vpc,
            vpc_subnets=SubnetSelection(subnet_type=SubnetType.PUBLIC),
            security_groups=[self._security_group],
            update_timeout=JOB_TIMEOUT,
        )
        # By its number: Batch looks for a newer version of a template only when it is updated.
        # https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
        resource: Any = environment.node.default_child
        resource.add_property_override(
            "ComputeResources.LaunchTemplate.Version", self._template.latest_version_number
        )
        return environment

    def _host_role(self) -> Role:
        role = Role(
            self,
            "HostRole",
            assumed_by=ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[ManagedPolicy.from_aws_managed_policy_name(_HOST_POLICY)],
        )
        acknowledge(
            role,
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_HOST_POLICY}]",
            because="What the agent on the host needs; AWS changes it with the agent.",
        )
        return role

    def _launch_template(self) -> LaunchTemplate:
        template = LaunchTemplate(
            self,
            "Host",
            http_tokens=LaunchTemplateHttpTokens.REQUIRED,
            http_put_response_hop_limit=1,
            require_imdsv2=True,
            user_data=_user_data(),
            block_devices=[
                BlockDevice(
                    device_name="/dev/xvda",
                    volume=BlockDeviceVolume.ebs(
                        int(_HOST_DISK.to_gibibytes()),
                        encrypted=True,
                        volume_type=EbsDeviceVolumeType.GP3,
                    ),
                )
            ],
        )
        tag_by_path(template)
        return template


def _user_data() -> MultipartUserData:
    """Keep the host's role from the job, whose network is the host's.

    Batch takes user data in parts, to which it adds its own; they run before the first job does.
    A job's credentials come from another address, 169.254.170.2.
    https://docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html
    """
    commands = UserData.for_linux()
    commands.add_commands(
        f"iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner {JOB_UID} -j REJECT"
    )
    parts = MultipartUserData()
    parts.add_user_data_part(commands, content_type=MultipartBody.SHELL_SCRIPT, make_default=True)
    return parts


def _cancel(reason: JobStateTimeLimitActionsReason, after: Duration) -> JobStateTimeLimitAction:
    """Cancel the job at the head of the queue once it has waited this long for this reason."""
    return JobStateTimeLimitAction(
        action=JobStateTimeLimitActionsAction.CANCEL,
        state=JobStateTimeLimitActionsState.RUNNABLE,
        reason=reason,
        max_time=after,
    )


def _family(name: str) -> InstanceClass:
    try:
        return InstanceClass[name.upper()]
    except KeyError:
        raise SettingsError(
            f"the deploy setting 'gpu_instance_types' has {name!r}; allowed are families that the "
            "CDK knows, like g5, and types, like g5.xlarge"
        ) from None
