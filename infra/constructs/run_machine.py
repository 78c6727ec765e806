"""The state machine with its role and its log."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Fn, RemovalPolicy, Stack
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_stepfunctions import DefinitionBody, LogLevel, LogOptions, StateMachine
from constructs import Construct

from infra.grants import acknowledge, acknowledge_wildcards, allow
from infra.workflow import Steps, way

# Of one execution and each of its redrives: a large scene on few GPUs takes its time.
_TIMEOUT = Duration.days(2)


class RunMachine(Construct):
    """The state machine whose executions are runs.

    Attributes:
        machine: the state machine.
        executions: the ARN of all its executions.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, steps: Steps, log_retention: RetentionDays
    ) -> None:
        super().__init__(scope, construct_id)
        name = f"{Stack.of(self).stack_name}-runs"
        logs = LogGroup(self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        self.machine = StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            comment="One scene through one model, from its tiles to rows in PostGIS.",
            definition_body=DefinitionBody.from_chainable(way(self, steps)),
            timeout=_TIMEOUT,
            tracing_enabled=True,
            logs=LogOptions(destination=logs, level=LogLevel.ERROR, include_execution_data=True),
        )
        self.executions = _arn("states", f"execution:{name}:*")
        if steps.on_gpus:
            # Without these an execution that is aborted leaves its GPU jobs running.
            allow(self.machine.role, "batch:DescribeJobs", "batch:TerminateJob", on=["*"])
        self._acknowledge(steps)

    def _acknowledge(self, steps: Steps) -> None:
        acknowledge(
            self.machine,
            "AwsSolutions-SF1",
            because="Step Functions keeps the whole history of an execution for 90 days itself.",
        )
        acknowledge_wildcards(
            self.machine,
            *(f"{function.function_arn}:*" for function in steps.functions),
            because="The CDK gives the right to call each version of a function.",
        )
        acknowledge_wildcards(
            self.machine,
            "*",
            because="Logs, traces and jobs: AWS knows no narrower resource for these actions.",
        )
        acknowledge_wildcards(
            self.machine,
            f"arn:{Aws.PARTITION}:s3:::{steps.work.bucket_name}/*",
            _arn("batch", "job-definition/*"),
            because="Lists of shards are named by runs, and job definitions by their revisions.",
        )
        # The CDK takes the name from the ARN: it need not know that there is a name.
        name = Fn.select(6, Fn.split(":", self.machine.state_machine_arn))
        acknowledge_wildcards(
            self.machine,
            _arn("states", f"execution:{name}:*"),
            *(_arn("states", f"execution:{name}/{mapped.label}:*") for mapped in steps.maps),
            because="The maps' child executions, to follow, stop and redrive them.",
        )


def _arn(service: str, rest: str) -> str:
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{rest}"
