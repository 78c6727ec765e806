"""Define the base of Lambda functions that connect to the database."""

from __future__ import annotations

from typing import TypedDict, Unpack

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function


class DatabaseAccess(TypedDict):
    """Arguments that all such functions share: the database, the network and the log retention."""

    database: Database
    vpc: IVpc
    security_group: ISecurityGroup
    """Security group of the functions."""
    log_retention: RetentionDays


class DatabaseFunction(Function):
    """Function in the database's VPC, with the permission and the settings to log in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        memory_mib: int,
        timeout: Duration,
        storage_gib: int = 1,
        **database_access: Unpack[DatabaseAccess],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=name,
            environment=database_access["database"].settings.to_env(),
            memory_mib=memory_mib,
            timeout=timeout,
            storage_gib=storage_gib,
            vpc=database_access["vpc"],
            security_group=database_access["security_group"],
            log_retention=database_access["log_retention"],
        )
        database_access["database"].grant_connect(self.role)
