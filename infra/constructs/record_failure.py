"""The function that notes in the database that a run failed, and why."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_sqs import IQueue
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function


class RecordFailure(Function):
    """Lambda `record_failure`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        database: Database,
        vpc: IVpc,
        security_group: ISecurityGroup,
        dead_letters: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="record_failure",
            environment=database.settings.to_env(),
            memory_mib=512,
            timeout=Duration.minutes(3),
            vpc=vpc,
            security_group=security_group,
            log_retention=log_retention,
        )
        database.grant_connect(self.role)
        self.function.configure_async_invoke(
            retry_attempts=2, on_failure=SqsDestination(dead_letters)
        )
