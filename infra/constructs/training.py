"""What training jobs need: a role and an image. `swath train` launches the jobs."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.grants import allow, read_objects, write_objects
from infra.images import training_image

PREFIX = "training/*"
_LOGS = "/aws/sagemaker/TrainingJobs"


class Training(Construct):
    """The role that training jobs run as, and their image.

    Attributes:
        role: reads scenes and labels; reads and writes what lies below `training/` in the results
            bucket: data, checkpoints, packages.
        image_uri: of the image.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, scenes: IBucket, results: IBucket
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = Role(self, "Role", assumed_by=ServicePrincipal("sagemaker.amazonaws.com"))
        image = training_image(self, "Image")
        image.repository.grant_pull(self.role)
        self.image_uri = image.image_uri
        # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
        groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{_LOGS}:*"
        allow(
            self.role,
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "logs:DescribeLogStreams",
            on=[groups],
            because="All training jobs share a log group; each has streams of its own.",
        )
        allow(
            self.role,
            "cloudwatch:PutMetricData",
            on=["*"],
            because="Metrics and tokens for the image registry know no narrower resource.",
            conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        )
        read_objects(self.role, scenes)
        read_objects(self.role, results, PREFIX)
        write_objects(self.role, results, PREFIX)
