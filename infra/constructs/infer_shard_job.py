"""Define the Batch job that runs a model over one shard on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, Fn, RemovalPolicy, Size
from aws_cdk.aws_batch import (
    Action,
    EcsEc2ContainerDefinition,
    EcsJobDefinition,
    Reason,
    RetryStrategy,
)
from aws_cdk.aws_ecs import AwsLogDriver
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.region import region_variables
from infra.grants import acknowledge, read_objects, read_sources, write_objects
from infra.images import batch_image
from swath.errors.exit_codes import JobExit
from swath.settings import DeviceSettings

# One job fills the smallest host of each GPU family, which has 4 vCPUs and 16 GiB. The host itself
# needs some of the memory.
_JOB_VCPUS = 4
_JOB_MEMORY = Size.mebibytes(14_000)
JOB_TIMEOUT = Duration.hours(6)
# `USER` of batch_jobs/infer_shard/Dockerfile.
JOB_UID = 10001
# Maximum that Batch allows: each retried reason is transient, and each attempt resumes from the
# last checkpoint.
_MAX_ATTEMPTS = 10
# Batch accepts five rules, so the last of these covers all reasons for which a container does not
# start, such as CannotPullContainerError and DockerTimeoutError. Other errors would only recur.
_RETRIED_REASONS = (
    Reason.SPOT_INSTANCE_RECLAIMED,
    # SIGTERM often ends the process before its host is reclaimed.
    Reason.custom(on_exit_code=str(JobExit.INTERRUPTED.value)),
    Reason.custom(on_exit_code=str(JobExit.TRANSIENT.value)),
    Reason.custom(on_status_reason="Task failed to start*"),
)


class InferShardJob(Construct):
    """Batch job `infer_shard`; a child of an array job takes the shard of its index.

    Attributes:
        definition: Job definition, with the parameter `plan_uri`.
        name: Name of the job definition, without a revision.
        role: Role of the container.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scenes: IBucket,
        work: IBucket,
        models: ModelCatalog,
        scene_sources: Sequence[str],
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        logs = LogGroup(self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        ecs_tasks = ServicePrincipal("ecs-tasks.amazonaws.com")
        self.role = Role(self, "Role", assumed_by=ecs_tasks)
        container = EcsEc2ContainerDefinition(
            self,
            "Container",
            image=batch_image("infer_shard"),
            command=["python", "-m", "batch_jobs.infer_shard", "--plan-uri", "Ref::plan_uri"],
            cpu=_JOB_VCPUS,
            memory=_JOB_MEMORY,
            gpu=1,
            # `cuda` prevents a fallback to the CPU, so that a host with an unusable GPU is not
            # paid for as a slow CPU.
            environment={**region_variables(), **DeviceSettings(device="cuda").to_env()},
            job_role=self.role,
            logging=AwsLogDriver(stream_prefix="infer_shard", log_group=logs),
        )
        self.definition = EcsJobDefinition(
            self,
            "Definition",
            container=container,
            timeout=JOB_TIMEOUT,
            retry_attempts=_MAX_ATTEMPTS,
            retry_strategies=[
                *(RetryStrategy.of(Action.RETRY, reason) for reason in _RETRIED_REASONS),
                RetryStrategy.of(Action.EXIT, Reason.custom(on_reason="*")),
            ],
        )
        # A deployment creates a revision and deregisters the previous one. A running or redriven
        # execution keeps its state machine's definition, so only the name gives it the new one.
        _, name_and_revision = Fn.split("/", self.definition.job_definition_arn, 2)
        self.name = Fn.select(0, Fn.split(":", name_and_revision))
        acknowledge(
            container.execution_role,
            "AwsSolutions-IAM5[Resource::*]",
            because="A token of the image registry is not limited to one repository.",
        )
        models.grant_read_packages(self.role)
        read_objects(self.role, scenes)
        read_sources(self.role, scene_sources)
        read_objects(self.role, work, "runs/*")
        write_objects(self.role, work, "runs/*")
