from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from swath import storage


@pytest.fixture
def bucket() -> Iterator[str]:
    storage.s3.cache_clear()
    with mock_aws():
        boto3.client("s3").create_bucket(
            Bucket="work", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield "s3://work"
    storage.s3.cache_clear()


@pytest.fixture(params=["s3", "local"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("bucket") if request.param == "s3" else str(tmp_path)
