"""Define the base of Lambda functions, each from a folder in `lambdas/`."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk.aws_ec2 import ISecurityGroup, IVpc, SubnetSelection, SubnetType
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_lambda import Architecture, DockerImageFunction, Tracing
from aws_cdk.aws_logs import LogGroup, RetentionDays
from constructs import Construct

from infra.grants import acknowledge, allow
from infra.images import lambda_image

METRICS_NAMESPACE = "swath"
BYTES_PER_GIB = 2**30


class Function(Construct):
    """Function from an image, with a role, a log group and an environment, without permissions.

    Attributes:
        function: Lambda function.
        role: Role of the function, to which further permissions are granted.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        environment: dict[str, str],
        memory_mib: int,
        timeout: Duration,
        log_retention: RetentionDays,
        storage_gib: int = 1,
        vpc: IVpc | None = None,
        security_group: ISecurityGroup | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        logs = LogGroup(self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        self.role = Role(self, "Role", assumed_by=ServicePrincipal("lambda.amazonaws.com"))
        logs.grant_write(self.role)
        if vpc:
            self._allow_network_interfaces()
        self.function = DockerImageFunction(
            self,
            "Function",
            description=f"swath: {name.replace('_', ' ')}",
            code=lambda_image(name),
            architecture=Architecture.X86_64,
            role=self.role,
            environment={**environment, **powertools_variables(name)},
            memory_size=memory_mib,
            ephemeral_storage_size=Size.gibibytes(storage_gib),
            timeout=timeout,
            tracing=Tracing.ACTIVE,
            log_group=logs,
            vpc=vpc,
            vpc_subnets=SubnetSelection(subnet_type=SubnetType.PRIVATE_ISOLATED) if vpc else None,
            security_groups=[security_group] if security_group else None,
        )
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::*]",
            because="Actions of X-Ray and network interfaces support no narrower resource.",
        )

    def _allow_network_interfaces(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        allow(
            self.role,
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
            on=["*"],
        )


def powertools_variables(name: str) -> dict[str, str]:
    """Return the environment variables of Powertools' logger, tracer and metrics."""
    return {
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
