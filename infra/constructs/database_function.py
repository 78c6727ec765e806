"""A Lambda function that connects to the database."""

from __future__ import annotations

from typing import TypedDict, Unpack

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.function import Function


class Inside(TypedDict):
    """What such functions share: the database, their place beside it, how long logs are kept."""

    database: Database
    vpc: IVpc
    security_group: ISecurityGroup
    log_retention: RetentionDays


class DatabaseFunction(Function):
    """A function in the database's network, with the right to log in and the settings to do so."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        memory_mib: int,
        timeout: Duration,
        storage_gib: int = 1,
        **inside: Unpack[Inside],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=name,
            environment=inside["database"].settings.to_env(),
            memory_mib=memory_mib,
            timeout=timeout,
            storage_gib=storage_gib,
            vpc=inside["vpc"],
            security_group=inside["security_group"],
            log_retention=inside["log_retention"],
        )
        inside["database"].grant_connect(self.role)
