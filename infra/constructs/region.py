"""The region, for containers that AWS does not tell of it."""

from __future__ import annotations

from aws_cdk import Aws


def region_variables() -> dict[str, str]:
    """Return the variables from which boto3 and GDAL take the region.

    Batch on EC2 sets neither. SageMaker documents none for serving. Without them, boto3 asks for
    S3 in us-east-1.
    https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """
    return {"AWS_DEFAULT_REGION": Aws.REGION, "AWS_REGION": Aws.REGION}
