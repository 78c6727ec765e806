"""Define the function that creates the database's user and extension at deployment."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function


class PrepareDatabase(Function):
    """Lambda `prepare_database`, which uses the Data API and so needs no access to the VPC."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        database: Database,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="prepare_database",
            environment=database.prepare_settings.to_env(),
            memory_mib=512,
            timeout=Duration.minutes(5),
            log_retention=log_retention,
        )
        database.grant_prepare(self.role)
