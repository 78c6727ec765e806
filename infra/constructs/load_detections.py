"""The function that loads a run's detections into the database."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function
from infra.grants import read_objects


class LoadDetections(Function):
    """Lambda `load_detections`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        work: IBucket,
        database: Database,
        vpc: IVpc,
        security_group: ISecurityGroup,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="load_detections",
            environment=database.settings.to_env(),
            memory_mib=2048,
            timeout=Duration.minutes(15),
            storage_gib=4,
            vpc=vpc,
            security_group=security_group,
            log_retention=log_retention,
        )
        database.grant_connect(self.role)
        read_objects(self.role, work, "runs/*")
