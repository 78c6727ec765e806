"""Items whose files lie in a bucket of others: in another region, and the readers pay."""

from __future__ import annotations

import json
from pathlib import Path

import rasterio

from local_cloud.clients import Clients
from tests.helpers.assembly import ARCHIVE, ARCHIVE_REGION
from tests.helpers.items import write_item
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

NAMES = ("B02", "B03", "B04", "B08", "B11")
"""Bands of the tests' model."""


def with_files(document: Path, prefix: str) -> Path:
    """Let the Item in a document name files at a prefix; return the document."""
    item = json.loads(document.read_text())
    for asset in item["assets"].values():
        asset["href"] = prefix + asset["href"].removeprefix("./")
    document.write_text(json.dumps(item))
    return document


def drop_noise(pipeline: Pipeline, folder: Path, key: str, *, seed: int = 0) -> str:
    """Drop an Item of noise whose files are in the archive; its URI."""
    source = write_scene(folder / "noise.tif", seed=seed)
    with rasterio.open(source, "r+") as file:
        file.descriptions = NAMES
    return drop_item(pipeline, source, folder, key)


def drop_item(pipeline: Pipeline, source: Path, folder: Path, key: str) -> str:
    """Put the bands of a scene into the archive, one file each, and drop their Item; its URI."""
    name = Path(key).stem
    item = write_item(folder / name, source, item_id=name)
    s3 = Clients(pipeline.cloud.endpoint).get("s3", ARCHIVE_REGION)
    if ARCHIVE not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        location = {"LocationConstraint": ARCHIVE_REGION}
        s3.create_bucket(Bucket=ARCHIVE, CreateBucketConfiguration=location)
        payer = {"Payer": "Requester"}
        s3.put_bucket_request_payment(Bucket=ARCHIVE, RequestPaymentConfiguration=payer)
    for path in item.parent.glob("*.tif"):
        s3.put_object(Bucket=ARCHIVE, Key=f"c2/{name}/{path.name}", Body=path.read_bytes())
    return pipeline.drop(with_files(item, f"s3://{ARCHIVE}/c2/{name}/"), key)
