"""A deployed stack as far as those who launch jobs beside it see it: its outputs and buckets."""

import json
from contextlib import contextmanager

import boto3
from moto import mock_aws

from swath import storage

REGION = "eu-west-1"
_ACCOUNT = "123456789012"
_IMAGES = f"{_ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/swath"
_ROLES = f"arn:aws:iam::{_ACCOUNT}:role/swath"
BUCKETS = ("results", "scenes", "my-data", "cdk-assets")
OUTPUTS = {
    "ScenesBucket": "scenes",
    "ResultsBucket": "results",
    "DataBuckets": "my-data",
    "ModelCatalogUri": "s3://cdk-assets/0123.json",
    "TrainingRoleArn": f"{_ROLES}-training",
    "TrainingImageUri": f"{_IMAGES}:train",
    "EvaluationRoleArn": f"{_ROLES}-evaluation",
    "EvaluationImageUri": f"{_IMAGES}:evaluate",
    "ServingRoleArn": f"{_ROLES}-serving",
    "ServingImageUri": f"{_IMAGES}:serve",
}


@contextmanager
def account():
    """An account with the stack's buckets in it."""
    storage.s3.cache_clear()
    with mock_aws():
        for bucket in BUCKETS:
            boto3.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield
    storage.s3.cache_clear()


@contextmanager
def deployed():
    """A simulated account with the deployed stack."""
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in OUTPUTS.items()},
    }
    with account():
        boto3.client("cloudformation").create_stack(
            StackName="swath", TemplateBody=json.dumps(template)
        )
        yield
