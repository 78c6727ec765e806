import boto3
import botocore.client
import pytest
from moto import mock_aws

from swath import storage
from swath.launching.deployment import Deployment

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/swath-training"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/swath:train"
OUTPUTS = {
    "ResultsBucket": "results",
    "TrainingRoleArn": ROLE,
    "TrainingImageUri": IMAGE,
    "ServingRoleArn": "arn:aws:iam::123456789012:role/swath-serving",
    "ServingImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/swath:serve",
}


@pytest.fixture
def aws():
    """An account with the stack's buckets in it."""
    storage.s3.cache_clear()
    with mock_aws():
        for bucket in ("results", "scenes"):
            boto3.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield
    storage.s3.cache_clear()


@pytest.fixture
def deployment():
    return Deployment(stack="swath", region=REGION, outputs=dict(OUTPUTS))


@pytest.fixture
def calls(monkeypatch):
    """Every call that is made of AWS: its name and its arguments."""
    made = []
    original = botocore.client.BaseClient._make_api_call

    def call(self, name, arguments):
        made.append((name, arguments))
        return original(self, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    return made
