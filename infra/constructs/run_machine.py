"""Define the state machine of runs, with its permissions."""

from __future__ import annotations

from aws_cdk import Aws, Fn, Stack
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.logged_machine import create_logged_machine
from infra.grants import acknowledge_wildcards, allow
from infra.workflow import WorkflowResources, build_definition


class RunMachine(Construct):
    """State machine whose executions are runs.

    Attributes:
        machine: State machine.
        executions: ARN pattern of its executions.
        map_runs: ARN pattern of the map runs of its Maps.
        child_executions: ARN pattern of the child executions of its Maps.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        resources: WorkflowResources,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        name = f"{Stack.of(self).stack_name}-runs"
        self.machine = create_logged_machine(
            self,
            "runs",
            build_definition(self, resources),
            comment="Run one model on one scene, from its tiles to rows in PostGIS.",
            log_retention=log_retention,
        )
        self.executions = _arn("states", f"execution:{name}:*")
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
        self.map_runs = _arn("states", f"mapRun:{name}/*")
        self.child_executions = _arn("states", f"execution:{name}/*")
        if resources.batch_backend:
            # Without these permissions, an aborted execution leaves its GPU jobs running.
            allow(self.machine.role, "batch:DescribeJobs", "batch:TerminateJob", on=["*"])
        self._acknowledge_wildcards(resources)

    def _acknowledge_wildcards(self, resources: WorkflowResources) -> None:
        acknowledge_wildcards(
            self.machine,
            *(f"{function.function_arn}:*" for function in resources.functions),
            because="The CDK grants the permission to call each version of a function.",
        )
        acknowledge_wildcards(
            self.machine,
            "*",
            because="Actions of logs, traces and jobs support no narrower resource.",
        )
        acknowledge_wildcards(
            self.machine,
            f"arn:{Aws.PARTITION}:s3:::{resources.work.bucket_name}/*",
            _arn("batch", "job-definition/*"),
            because="Lists of shards are named by runs, and job definitions by their revisions.",
        )
        # The pattern must match the CDK's, which takes the machine's name from its ARN.
        name = Fn.select(6, Fn.split(":", self.machine.state_machine_arn))
        acknowledge_wildcards(
            self.machine,
            _arn("states", f"execution:{name}:*"),
            *(
                _arn("states", f"execution:{name}/{backend.label}:*")
                for backend in resources.map_backends
            ),
            because="The machine describes, stops and redrives child executions of its Maps.",
        )


def _arn(service: str, rest: str) -> str:
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{rest}"
