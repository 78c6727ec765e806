"""Define the function that determines the cause of a failed run."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.function import Function
from infra.constructs.run_machine import RunMachine
from infra.grants import allow, read_objects
from swath.settings import FindCauseSettings


class FindCause(Function):
    """Lambda `find_cause`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        run_machine: RunMachine,
        work: IBucket,
        results: IBucket,
        has_batch: bool,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="find_cause",
            environment=FindCauseSettings(
                work_uri=f"s3://{work.bucket_name}", results_uri=f"s3://{results.bucket_name}"
            ).to_env(),
            memory_mib=512,
            timeout=Duration.minutes(1),
            log_retention=log_retention,
        )
        because = "Executions and their Map runs get their names when they start."
        allow(self.role, "states:ListMapRuns", on=[run_machine.executions], because=because)
        allow(self.role, "states:ListExecutions", on=[run_machine.map_runs], because=because)
        allow(
            self.role,
            "states:DescribeExecution",
            on=[run_machine.child_executions],
            because=because,
        )
        read_objects(self.role, results, "runs/*/*.json")
        allow(
            self.role,
            "s3:PutObject",
            on=[results.arn_for_objects("runs/*/summary.json")],
            because="Objects are named by runs, which do not exist at deployment.",
        )
        if has_batch:
            allow(self.role, "batch:ListJobs", "batch:DescribeJobs", on=["*"])
            read_objects(self.role, work, "runs/*/failures/*")
