"""update_catalog on moto's S3: a published run is in the catalog."""

import boto3
import pytest
from moto import mock_aws

from lambdas.update_catalog import handler as module
from swath import storage
from swath.pipeline.publish import publish_run
from swath.settings import PublishSettings
from tests.helpers.runs import run_request

EVENT = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "time": "2099-01-01T00:00:00Z",
    "resources": [],
    "detail": {},
}


@pytest.fixture
def bucket(set_env):
    module.settings.cache_clear()
    storage.s3.cache_clear()
    set_env(PublishSettings(results_uri="s3://results"))
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield client


def test_published_runs_are_added(bucket, merged, context):
    request = run_request()
    publish_run(request, merged(2), "s3://results", backend="lambda")

    assert module.handler(EVENT, context) == {"runs": 1, "days": 1}
    assert module.handler(EVENT, context) == {"runs": 0, "days": 0}

    types = {
        one["Key"]: bucket.head_object(Bucket="results", Key=one["Key"])["ContentType"]
        for one in bucket.list_objects_v2(Bucket="results", Prefix="stac/ships")["Contents"]
    }
    assert types == {
        "stac/ships/collection.json": "application/json",
        "stac/ships/unknown/catalog.json": "application/json",
        "stac/ships/unknown/items.parquet": "application/vnd.apache.parquet",
    }
    day = storage.read_json("s3://results/stac/ships/unknown/catalog.json")
    links = [link["href"] for link in day["links"] if link["rel"] == "item"]
    assert links == [f"../../../runs/{request.run_id}/item.json"]
