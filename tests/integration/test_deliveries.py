"""Deliveries of many files: dropped part by part, they become rows; incomplete, a message."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from tests.helpers import deliveries
from tests.integration.pipeline import Pipeline, eventually, messages

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

SIZE = 300
"""Width and height in px of the finest bands."""


def raster(path: Path, *, driver: str, gsd: int, seed: int) -> bytes:
    """A band of noise that covers 3 km."""
    size = SIZE * 10 // gsd
    options = {"QUALITY": 100, "REVERSIBLE": True} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(
        path,
        "w",
        driver=driver,
        width=size,
        height=size,
        count=1,
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(gsd, 0, 500_000, 0, -gsd, 5_000_000),
        **options,
    ) as target:
        noise = np.random.default_rng(seed).integers(500, 2000, (1, size, size), "uint16")
        target.write(noise)
    return path.read_bytes()


def safe(folder: Path) -> deliveries.Files:
    """A SAFE folder with the five bands of the tests' model, at 10 and 20 m."""
    bands = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B04@20": 20}
    pixels = {
        band: raster(folder / f"{band}.jp2", driver="JP2OpenJPEG", gsd=gsd, seed=number)
        for number, (band, gsd) in enumerate(bands.items())
    }
    return deliveries.safe(pixels)


def landsat(folder: Path) -> deliveries.Files:
    """A Landsat bundle whose images of B5 and B6 have the names of the model's B08 and B11."""
    pixels = {
        band: raster(folder / f"{band}.tif", driver="GTiff", gsd=30, seed=number)
        for number, band in enumerate(("2", "3", "4", "5", "6"))
    }
    return deliveries.landsat(pixels, {5: "B08", 6: "B11"})


def put(pipeline: Pipeline, folder: str, files: Mapping[str, bytes], seed: int) -> None:
    """Drop the parts in random order, the first of them twice."""
    shuffled = random.Random(seed).sample(list(files.items()), len(files))
    for path, content in [*shuffled, shuffled[0]]:
        pipeline.client("s3").put_object(
            Bucket=pipeline.scenes, Key=f"{folder}/{path}", Body=content
        )


def wait_for_scene(pipeline: Pipeline, uri: str) -> Any:
    run = pipeline.wait(uri)
    pipeline.wait_until_idle()
    assert run.status == "succeeded", run.cause
    assert len(pipeline.runs(uri)) == 1
    assert run.detections == len(pipeline.detections(uri))
    return run


def test_a_safe_folder_is_run_once_when_all_parts_are_there(pipeline: Pipeline, tmp_path: Path):
    folder = f"deliveries/ships/{deliveries.S2_ID}.SAFE"
    put(pipeline, folder, safe(tmp_path), seed=1)

    run = wait_for_scene(pipeline, f"s3://{pipeline.scenes}/{folder}/manifest.safe")

    assert run.scene_id == f"sentinel-2-l2a/{deliveries.S2_ID}"
    assert run.acquired_at.isoformat() == "2024-05-31T10:22:03.500000+00:00"
    assert run.tiles_planned > 1


def test_a_landsat_bundle_is_run_once_when_all_parts_are_there(pipeline: Pipeline, tmp_path: Path):
    folder = "deliveries/bundle"
    put(pipeline, folder, landsat(tmp_path), seed=2)

    uri = f"s3://{pipeline.scenes}/{folder}/{deliveries.LANDSAT_ID}_MTL.txt"
    run = wait_for_scene(pipeline, uri)

    assert run.scene_id == f"landsat-c2-l2/{deliveries.LANDSAT_ID}"
    assert run.platform == "landsat-9"


def test_a_manifest_that_is_refused_is_recorded(pipeline: Pipeline):
    key = "deliveries/hostile.SAFE/manifest.safe"
    body = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    pipeline.client("s3").put_object(Bucket=pipeline.scenes, Key=key, Body=body)

    run = pipeline.wait(f"s3://{pipeline.scenes}/{key}")

    assert (run.status, run.error) == ("failed", "SceneError")
    assert "has a document type declaration" in run.cause


def test_an_incomplete_delivery_is_reported_when_its_time_is_over(
    pipeline: Pipeline, failure_queue: str
):
    files = dict(list(deliveries.safe().items())[1:])
    folder = "deliveries/incomplete.SAFE"
    put(pipeline, folder, files, seed=3)
    eventually(lambda: notes(pipeline, folder), "the note of the delivery", 120)

    assert watch(pipeline, hours=5)["reported"] == 0
    # Parts are handled one after the other; the last of them may still be on its way.
    eventually(lambda: watch(pipeline, hours=7)["reported"], "the report", 60)

    def report() -> str:
        return messages(pipeline, failure_queue, "1 of its 12 parts is missing")

    text = eventually(report, "the message", 60)
    assert json.loads(text)["delivery"] == f"s3://{pipeline.scenes}/{folder}/"
    assert watch(pipeline, hours=8)["reported"] == 0


def notes(pipeline: Pipeline, folder: str) -> list[dict[str, Any]]:
    """The notes of a delivery in the work bucket."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["WorkBucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="deliveries/notes/").get("Contents", ())
    bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed]
    return [note for note in map(json.loads, bodies) if note["folder"].endswith(folder)]


def watch(pipeline: Pipeline, *, hours: int) -> dict[str, Any]:
    """Call the function as its schedule would do some hours later."""
    functions = pipeline.client("lambda").list_functions()["Functions"]
    (name,) = (f["FunctionName"] for f in functions if "WatchDeliveries" in f["FunctionName"])
    time = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "time": time,
        "resources": [],
        "detail": {},
    }
    response = pipeline.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    payload: dict[str, Any] = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, payload
    return payload
