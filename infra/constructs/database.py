"""Define the database: Aurora PostgreSQL, which pauses when it is idle."""

from __future__ import annotations

from typing import cast

from aws_cdk import Duration, RemovalPolicy, Token
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc, SubnetSelection, SubnetType
from aws_cdk.aws_iam import IGrantable
from aws_cdk.aws_rds import (
    AuroraPostgresEngineVersion,
    BackupProps,
    CfnDBCluster,
    ClusterInstance,
    Credentials,
    DatabaseCluster,
    DatabaseClusterEngine,
)
from constructs import Construct

from infra.constructs.network import POSTGRES_PORT
from infra.grants import acknowledge, allow
from swath.settings import DatabaseSettings, PrepareDatabaseSettings

DATABASE_NAME = "swath"
DATABASE_USER = "swath"
_MASTER_USER = "swath_admin"
# Minimum that Aurora allows.
_MIN_AUTO_PAUSE_DELAY = Duration.minutes(5)


class Database(Construct):
    """Serverless cluster with one instance and IAM authentication.

    RDS creates, stores and rotates the master user's password; only `prepare_database` uses it.

    Attributes:
        cluster: Database cluster.
        settings: Settings with which a function connects as user `swath`.
        prepare_settings: Settings of `prepare_database`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: IVpc,
        security_group: ISecurityGroup,
        min_acu: float,
        max_acu: float,
        retain: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.cluster = DatabaseCluster(
            self,
            "Cluster",
            # Pausing at 0 ACU and the Data API need PostgreSQL 16.3 or later.
            engine=DatabaseClusterEngine.aurora_postgres(
                version=AuroraPostgresEngineVersion.VER_17_9
            ),
            writer=ClusterInstance.serverless_v2(
                "Writer",
                publicly_accessible=False,
                # RDS would upgrade beyond the template's version, and refuse to return to it when
                # the template next changes.
                auto_minor_version_upgrade=False,
            ),
            serverless_v2_min_capacity=min_acu,
            serverless_v2_max_capacity=max_acu,
            serverless_v2_auto_pause_duration=None if min_acu else _MIN_AUTO_PAUSE_DELAY,
            port=POSTGRES_PORT,
            vpc=vpc,
            vpc_subnets=SubnetSelection(subnet_type=SubnetType.PRIVATE_ISOLATED),
            security_groups=[security_group],
            default_database_name=DATABASE_NAME,
            credentials=Credentials.from_username(_MASTER_USER),
            manage_master_user_password=True,
            iam_authentication=True,
            enable_data_api=True,
            storage_encrypted=True,
            backup=BackupProps(retention=Duration.days(14 if retain else 1)),
            copy_tags_to_snapshot=True,
            deletion_protection=retain,
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
        self._acknowledge_rules(retain=retain)
        endpoint = self.cluster.cluster_endpoint
        self.settings = DatabaseSettings(
            database_host=endpoint.hostname,
            # Only as text can a number be passed on that is unknown until deployment.
            database_port=cast("int", Token.as_string(endpoint.port)),
            database_name=DATABASE_NAME,
            database_user=DATABASE_USER,
        )
        self.prepare_settings = PrepareDatabaseSettings(
            cluster_arn=self.cluster.cluster_arn,
            master_secret_arn=self.master_secret_arn,
            database_name=DATABASE_NAME,
            database_user=DATABASE_USER,
        )

    @property
    def master_secret_arn(self) -> str:
        """ARN of the secret with the master user's password."""
        resource = self.cluster.node.default_child
        assert isinstance(resource, CfnDBCluster)  # noqa: S101 - narrows the type
        return resource.attr_master_user_secret_secret_arn

    def grant_connect(self, grantee: IGrantable) -> None:
        """Let `grantee` connect as user `swath` with an IAM token."""
        self.cluster.grant_connect(grantee, DATABASE_USER)

    def grant_prepare(self, grantee: IGrantable) -> None:
        """Let `grantee` run SQL as the master user through the Data API."""
        allow(grantee, "rds-data:ExecuteStatement", on=[self.cluster.cluster_arn])
        allow(grantee, "secretsmanager:GetSecretValue", on=[self.master_secret_arn])

    def _acknowledge_rules(self, *, retain: bool) -> None:
        acknowledge(
            self.cluster,
            "AwsSolutions-RDS11",
            because="A different port protects nothing: only the functions' security group has "
            "access.",
        )
        if not retain:
            acknowledge(
                self.cluster,
                "AwsSolutions-RDS10",
                because="One command must be enough to delete a development stack.",
            )
