"""publish_results on moto's S3."""

from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from lambdas.publish_results import handler as module
from swath import storage
from swath.messages import ModelRef, PlanSummary, RunOptions, RunRequest, SceneRef
from swath.settings import PublishSettings
from swath.storage import as_files


@pytest.fixture(autouse=True)
def fresh():
    def clear():
        module.settings.cache_clear()
        storage.s3.cache_clear()

    clear()
    yield
    clear()


@pytest.fixture
def payload(merged):
    request = RunRequest.new(
        scene=SceneRef(uri="s3://scenes/x.tif", etag="a", dropped_at="2026-11-21T12:00:00Z"),
        model=ModelRef(name="ships", uri="s3://m/ships.tar.gz", digest="d1"),
        options=RunOptions(),
    )
    plan = PlanSummary(uri="s3://work/runs/1/plan.json", backend="batch", shards=1, tiles=9)
    return {
        "request": request.to_json(),
        "merge": merged(5).to_json(),
        "plan": plan.to_json(),
    }


def test_a_run_is_published_in_the_results_bucket(payload, set_env, context):
    set_env(PublishSettings(results_uri="s3://results"))
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        result = module.handler(payload, context)
        found = {
            item["Key"]: client.head_object(Bucket="results", Key=item["Key"])["ContentType"]
            for item in client.list_objects_v2(Bucket="results")["Contents"]
        }
    run_id = payload["request"]["run_id"]
    (entry,) = (key for key in found if key.startswith("stac/entries/"))
    assert entry.endswith(f"/{run_id}.json")
    assert found.pop(entry) == "application/json"
    root = f"runs/{run_id}"
    assert found == {
        f"detections/model=ships/month=1900-01/{run_id}.parquet": "application/vnd.apache.parquet",
        f"{root}/detections.parquet": "application/vnd.apache.parquet",
        f"{root}/item.json": "application/geo+json",
        f"{root}/summary.json": "application/json",
    }
    assert result == {
        "detections_uri": f"s3://results/{root}/detections.parquet",
        "item_uri": f"s3://results/{root}/item.json",
        "mask_uri": "",
    }


def test_s3_copies_files_that_exceed_the_functions_disk(payload, set_env, context, monkeypatch):
    """A file and a mask in the work bucket are never fetched; of the file, its footer is read."""
    set_env(PublishSettings(results_uri="s3://results"))
    for place in (storage, as_files):
        monkeypatch.delattr(place, "reading")
    names = {"uri": "detections.parquet", "mask_uri": "mask.tif"}
    local = payload["merge"] | {"mask_uri": payload["merge"]["uri"]}
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("work", "results"):
            client.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
        for field, name in names.items():
            client.upload_file(local[field], "work", f"runs/1/{name}")
            payload["merge"][field] = f"s3://work/runs/1/{name}"

        result = module.handler(payload, context)

        for field in ("detections_uri", "mask_uri"):
            assert storage.read_bytes(result[field]) == Path(local["uri"]).read_bytes()
        item = storage.read_json(result["item_uri"])
    assert item["properties"]["swath:classes"] == {"boat": 2, "ship": 3}
    named = item["assets"]["mask"]["classification:classes"]
    assert [entry["name"] for entry in named] == ["ship", "boat", "raft"]
