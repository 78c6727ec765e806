"""Define the GPU hosts: none without jobs, Spot while available, on-demand otherwise."""

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
# The disk must hold the unpacked image with its CUDA libraries, twice while it is being pulled.
_HOST_DISK_SIZE = Size.gibibytes(100)
# Time until a job is canceled that no host of the queue can ever run.
_MISCONFIGURED_JOB_TIMEOUT = Duration.minutes(20)


class GpuQueue(Construct):
    """Job queue with two compute environments that scale to zero.

    Attributes:
        queue: Job queue.
        environments: ARNs of the compute environments.
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
        max_wait: Duration,
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self._security_group = security_group
        self._instance_types = [InstanceType(name) for name in instance_types if "." in name]
        self._instance_classes = [
            _instance_class(name) for name in instance_types if "." not in name
        ]
        self._max_vcpus = max_vcpus
        self._role = self._add_host_role()
        self._template = self._add_launch_template()
        spot = self._add_compute_environment("Spot", spot_bid_percentage=spot_bid_percentage)
        on_demand = self._add_compute_environment("OnDemand")
        self.environments = [e.compute_environment_arn for e in (spot, on_demand)]
        self.queue = JobQueue(
            self,
            "Queue",
            compute_environments=[
                OrderedComputeEnvironment(compute_environment=environment, order=order)
                for order, environment in enumerate((spot, on_demand), start=1)
            ],
            job_state_time_limit_actions=[
                _cancel_action(
                    JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE,
                    _MISCONFIGURED_JOB_TIMEOUT,
                ),
                _cancel_action(
                    JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT,
                    _MISCONFIGURED_JOB_TIMEOUT,
                ),
                _cancel_action(
                    JobStateTimeLimitActionsReason.INSUFFICIENT_INSTANCE_CAPACITY, max_wait
                ),
            ],
        )

    def _add_compute_environment(
        self, name: str, *, spot_bid_percentage: int | None = None
    ) -> ManagedEc2EcsComputeEnvironment:
        """Create a compute environment; the CDK's default strategies are those that AWS advises."""
        environment = ManagedEc2EcsComputeEnvironment(
            self,
            name,
            spot=spot_bid_percentage is not None,
            spot_bid_percentage=spot_bid_percentage,
            minv_cpus=0,
            maxv_cpus=self._max_vcpus,
            instance_types=self._instance_types,
            instance_classes=self._instance_classes,
            use_optimal_instance_classes=False,
            images=[EcsMachineImage(image_type=EcsMachineImageType.ECS_AL2023_NVIDIA)],
            instance_role=self._role,
            launch_template=self._template,
            vpc=self._vpc,
            vpc_subnets=SubnetSelection(subnet_type=SubnetType.PUBLIC),
            security_groups=[self._security_group],
            update_timeout=JOB_TIMEOUT,
        )
        # The version is a number, so that a new version updates the environment. Batch looks for
        # newer versions of a template only when its environment is updated.
        # https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
        resource: Any = environment.node.default_child
        resource.add_property_override(
            "ComputeResources.LaunchTemplate.Version", self._template.latest_version_number
        )
        return environment

    def _add_host_role(self) -> Role:
        role = Role(
            self,
            "HostRole",
            assumed_by=ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[ManagedPolicy.from_aws_managed_policy_name(_HOST_POLICY)],
        )
        acknowledge(
            role,
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_HOST_POLICY}]",
            because="The policy has what the host's agent needs; AWS updates both together.",
        )
        return role

    def _add_launch_template(self) -> LaunchTemplate:
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
                        int(_HOST_DISK_SIZE.to_gibibytes()),
                        encrypted=True,
                        volume_type=EbsDeviceVolumeType.GP3,
                    ),
                )
            ],
        )
        tag_by_path(template)
        return template


def _user_data() -> MultipartUserData:
    """Return user data that denies the job access to the host's role.

    A job shares the host's network, so a firewall rule blocks the metadata service for the job's
    user. Batch requires user data in MIME parts, to which it adds its own. The parts run before the
    first job. A job's own credentials come from another address, 169.254.170.2.
    https://docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html
    """
    commands = UserData.for_linux()
    commands.add_commands(
        f"iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner {JOB_UID} -j REJECT"
    )
    parts = MultipartUserData()
    parts.add_user_data_part(commands, content_type=MultipartBody.SHELL_SCRIPT, make_default=True)
    return parts


def _cancel_action(
    reason: JobStateTimeLimitActionsReason, timeout: Duration
) -> JobStateTimeLimitAction:
    """Return the action that cancels the first job of the queue after a wait for a given reason."""
    return JobStateTimeLimitAction(
        action=JobStateTimeLimitActionsAction.CANCEL,
        state=JobStateTimeLimitActionsState.RUNNABLE,
        reason=reason,
        max_time=timeout,
    )


def _instance_class(name: str) -> InstanceClass:
    try:
        return InstanceClass[name.upper()]
    except KeyError:
        raise SettingsError(
            f"the deploy setting 'gpu_instance_types' has {name!r}; allowed are families that the "
            "CDK knows, such as g5, and types, such as g5.xlarge"
        ) from None
