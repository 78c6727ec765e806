"""Canaries of buckets of others: who pays, and the region that a request is signed for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import bucket_owners
from local_cloud.services import Services
from swath import storage
from swath.errors import SceneError
from tests.local_cloud.canaries.aws import Aws, applied, create_role, new_name

FOREIGN_REGION = "us-west-2"


@pytest.fixture
def foreign(aws: Aws, services: Services) -> str:
    """Return a bucket in another region, with one object."""
    name = new_name()
    s3 = services.client("s3", FOREIGN_REGION)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": FOREIGN_REGION})
    s3.put_object(Bucket=name, Key="x.tif", Body=b"0123456789")
    return name


@pytest.fixture
def as_role(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process the credentials of a role."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    role = create_role(services.client("iam"), new_name(), statement)
    session = services.access.session(role, "lambda.amazonaws.com")
    for name, value in session.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", services.endpoint)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    storage.s3.cache_clear()
    yield
    storage.forget_buckets()
    storage.s3.cache_clear()
    boto3.DEFAULT_SESSION = None


def reader(region: str) -> Any:
    return boto3.client("s3", region_name=region)


@pytest.mark.usefixtures("as_role")
def test_canary_bucket_owners(services: Services, foreign: str):
    """Check that moto gives everybody the object, in any region and for nothing."""
    wanted = {"Bucket": foreign, "Key": "x.tif"}
    reader("eu-west-1").get_object(**wanted)

    with applied(services, bucket_owners):
        services.client("s3", FOREIGN_REGION).put_bucket_request_payment(
            Bucket=foreign, RequestPaymentConfiguration={"Payer": "Requester"}
        )
        with pytest.raises(ClientError) as refused:
            reader(FOREIGN_REGION).get_object(**wanted)
        paid = reader(FOREIGN_REGION).get_object(**wanted, RequestPayer="requester")
        services.client("s3", FOREIGN_REGION).get_object(**wanted)

    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Code"] == "AccessDenied"
    assert paid["Body"].read() == b"0123456789"


@pytest.mark.usefixtures("as_role")
def test_a_request_for_another_region_is_redirected(services: Services, foreign: str):
    client = reader("eu-west-1")
    seen: list[Any] = []
    client.meta.events.register(
        "response-received.s3.GetObject", lambda response_dict, **_: seen.append(response_dict)
    )

    with applied(services, bucket_owners):
        client.get_object(Bucket=foreign, Key="x.tif")  # boto3 follows to the right region

    assert [response["status_code"] for response in seen] == [301, 200]
    assert seen[0]["headers"]["x-amz-bucket-region"] == FOREIGN_REGION


@pytest.mark.usefixtures("as_role")
def test_swath_reads_with_the_access_of_the_source(services: Services, foreign: str):
    uri = f"s3://{foreign}/x.tif"
    with applied(services, bucket_owners):
        services.client("s3", FOREIGN_REGION).put_bucket_request_payment(
            Bucket=foreign, RequestPaymentConfiguration={"Payer": "Requester"}
        )
        storage.configure_access(uri, storage.BucketAccess(FOREIGN_REGION))
        with pytest.raises(SceneError, match="requires the reader to pay"):
            storage.read_bytes(uri)

        storage.configure_access(uri, storage.BucketAccess(FOREIGN_REGION, requester_pays=True))
        assert storage.read_bytes(uri) == b"0123456789"
        assert storage.status_and_head(uri, 3)[1] == b"012"  # type: ignore[index]
