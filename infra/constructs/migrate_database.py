"""The function that brings the database's schema up to date, when the stack is deployed."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function


class MigrateDatabase(Function):
    """Lambda `migrate_database`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        database: Database,
        vpc: IVpc,
        security_group: ISecurityGroup,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="migrate_database",
            environment=database.settings.to_env(),
            memory_mib=512,
            timeout=Duration.minutes(14),
            vpc=vpc,
            security_group=security_group,
            log_retention=log_retention,
        )
        database.grant_connect(self.role)
