"""Define the base role of swath's containers on SageMaker."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk.aws_ecr_assets import DockerImageAsset
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_logs import ILogGroup
from constructs import Construct

from infra.grants import allow

_METRIC_NAMESPACES = ["AWS/SageMaker", "/aws/sagemaker/*"]
_LOG_ACTIONS = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)


class SageMakerRole(Role):
    """Role of a container on SageMaker, which may pull its image and write logs and metrics.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    """

    def __init__(self, scope: Construct, construct_id: str, *, image: DockerImageAsset) -> None:
        super().__init__(
            scope, construct_id, assumed_by=ServicePrincipal("sagemaker.amazonaws.com")
        )
        image.repository.grant_pull(self)
        allow(
            self,
            "cloudwatch:PutMetricData",
            on=["*"],
            because="Metrics and tokens of the image registry support no narrower resource.",
            conditions={"StringLike": {"cloudwatch:namespace": _METRIC_NAMESPACES}},
        )

    def grant_write_logs(self, logs: ILogGroup) -> None:
        """Let the role write to a log group of the stack.

        The role may also create the group: SageMaker's agent may try that even though the group
        exists, and a refusal might lose the logs.
        """
        allow(self, *_LOG_ACTIONS, on=[logs.log_group_arn])

    def grant_write_shared_logs(self, *groups: str) -> None:
        """Let the role create, and write to, log groups that all jobs of the account share."""
        allow(
            self,
            *_LOG_ACTIONS,
            on=[
                f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{group}:*"
                for group in groups
            ],
            because="SageMaker names the log group; each job has its own streams.",
        )
