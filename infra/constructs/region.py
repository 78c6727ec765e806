"""Set the region for containers, because AWS does not set it for all of them."""

from __future__ import annotations

from aws_cdk import Aws


def region_variables() -> dict[str, str]:
    """Return the environment variables from which boto3 and GDAL take the region.

    Batch on EC2 sets neither of them. SageMaker documents none for serving. Without them, boto3
    uses S3 in us-east-1.
    https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """
    return {"AWS_DEFAULT_REGION": Aws.REGION, "AWS_REGION": Aws.REGION}
