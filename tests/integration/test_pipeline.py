"""Scenes dropped into the deployed template's bucket, and what becomes of them in PostGIS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from swath.messages import Backend
from swath.pipeline.local import run_local
from tests.integration.pipeline import Pipeline, eventually

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

PORTS = (
    *("algiers", "athens", "busan", "cartagena", "casablanca"),
    *("durban", "hedland", "honolulu", "klang"),
)
BACKENDS: tuple[Backend, ...] = (
    Backend.LAMBDA,
    Backend.BATCH,
    Backend.SAGEMAKER_REALTIME,
    Backend.SAGEMAKER_ASYNC,
    Backend.SAGEMAKER_SERVERLESS,
)
SHIPS = Path(__file__).resolve().parents[1] / "small_models" / "ships"


def port(data: Path, name: str) -> Path:
    return data / "ships_s2" / f"{name}_S2L2A_5band.tif"


def write_scene(path: Path, *, fill: int | None = None, seed: int = 0, **changes: Any) -> Path:
    """A small five-band scene of noise, or of one value; `changes` are to rasterio's profile."""
    profile = {
        "driver": "GTiff",
        "width": 300,
        "height": 280,
        "count": 5,
        "dtype": "uint16",
        "crs": "EPSG:32652",
        "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 3_900_000),
    } | changes
    shape = (profile["count"], profile["height"], profile["width"])
    noise = np.random.default_rng(seed).integers(500, 2000, shape).astype(profile["dtype"])
    with rasterio.open(path, "w", **profile) as target:
        target.write(noise if fill is None else np.full_like(noise, fill))
    return path


def test_nine_ports_dropped_at_once_all_succeed(pipeline: Pipeline, data: Path):
    uris = [pipeline.drop(port(data, name), f"incoming/ships/{name}.tif") for name in PORTS]

    runs = [pipeline.wait(uri) for uri in uris]

    assert {run.scene_uri: run.status for run in runs} == dict.fromkeys(uris, "succeeded")
    for run in runs:
        assert run.tiles_planned == run.tiles_succeeded + run.tiles_failed + run.tiles_skipped
        assert run.tiles_failed == 0
        assert run.detections == len(pipeline.detections(run.scene_uri)) > 0


def test_all_six_backends_give_the_same_detections(pipeline: Pipeline, data: Path, tmp_path: Path):
    scene = larger(port(data, "busan"), tmp_path / "scene.tif")
    run_local(str(scene), str(SHIPS), tmp_path / "found")
    found = {"local": rows(pq.read_table(tmp_path / "found" / "detections.parquet"))}
    for backend in BACKENDS:
        uri = pipeline.drop(scene, f"elsewhere/{backend}.tif")
        execution = pipeline.start(pipeline.request(uri, backend))
        run = pipeline.wait(uri)
        assert (run.status, run.backend) == ("succeeded", backend), run.cause
        found[backend] = rows(pipeline.published(execution))
        assert run.detections == len(found[backend]) == len(pipeline.detections(uri))

    assert len(found["local"]) > 100
    for backend in BACKENDS:
        assert found[backend] == found["local"], backend


def larger(scene: Path, path: Path) -> Path:
    """A scene side by side with itself, so that most backends have several shards of it."""
    with rasterio.open(scene) as source:
        pixels, profile = source.read(), source.profile
    profile["width"] = 2 * source.width
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.tile(pixels, (1, 1, 2)))
    return path


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows of a table, sorted, without the columns that name the run."""
    names = ["geometry", "class", "score", "x_min", "y_min", "x_max", "y_max", "tile"]
    columns = (table.column(name).to_pylist() for name in names)
    return sorted(zip(*columns, strict=True))


def test_a_scene_dropped_again_and_an_event_delivered_again_give_one_run(
    pipeline: Pipeline, tmp_path: Path
):
    scene = write_scene(tmp_path / "again.tif", seed=1)
    uris = {pipeline.drop(scene, "incoming/again.tif") for _ in range(3)}
    (uri,) = uris
    first = pipeline.wait(uri)

    pipeline.drop(scene, "incoming/again.tif")
    for _ in range(3):
        pipeline.client("events").put_events(Entries=[object_created(pipeline, uri)])
    marker = pipeline.wait(pipeline.drop(write_scene(tmp_path / "m.tif", seed=2), "incoming/m.tif"))
    pipeline.wait_until_idle()

    assert first.status == marker.status == "succeeded"
    assert [run.run_id for run in pipeline.runs(uri)] == [first.run_id]
    assert [n for n in pipeline.executions() if n.startswith(str(first.run_id))] == [
        str(first.run_id)
    ]
    assert len(pipeline.detections(uri)) == first.detections


def object_created(pipeline: Pipeline, uri: str) -> dict[str, Any]:
    """S3's event for the object as it is, as a second delivery would bring it."""
    key = uri.split("/", 3)[3]
    head = pipeline.client("s3").head_object(Bucket=pipeline.scenes, Key=key)
    return {
        "Source": "aws.s3",
        "DetailType": "Object Created",
        "Time": head["LastModified"],
        "Detail": json.dumps(
            {
                "version": "0",
                "bucket": {"name": pipeline.scenes},
                "object": {
                    "key": key,
                    "size": head["ContentLength"],
                    "etag": head["ETag"].strip('"'),
                    "sequencer": "0",
                },
                "reason": "PutObject",
            }
        ),
    }


def test_a_changed_scene_gives_a_new_run_that_replaces_the_old_rows(pipeline: Pipeline, data: Path):
    uri = pipeline.drop(port(data, "honolulu"), "incoming/changed.tif")
    old = pipeline.wait(uri)
    assert old.status == "succeeded", old.cause

    pipeline.drop(port(data, "casablanca"), "incoming/changed.tif")
    new = pipeline.wait(uri, after=1)

    assert new.run_id != old.run_id
    assert [run.status for run in pipeline.runs(uri)] == ["replaced", "succeeded"]
    assert {d.run_id for d in pipeline.detections(uri)} == {str(new.run_id)}
    assert len(pipeline.detections(uri)) == new.detections > 0


def test_a_failed_run_is_started_again_when_its_scene_is_dropped_again(
    pipeline: Pipeline, tmp_path: Path
):
    key = "incoming/no-such-model/x.tif"
    uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=3), key)
    run = pipeline.wait(uri)

    pipeline.drop(tmp_path / "x.tif", key)
    again = eventually(
        lambda: next((r for r in pipeline.runs(uri) if r.ended_at > run.ended_at), None),
        "the second failure",
    )

    assert (again.run_id, again.status) == (run.run_id, "failed")
    assert "no-such-model" in again.cause


def completed_runs(pipeline: Pipeline) -> str:
    """Create a queue that receives the events about completed runs; return its URL."""
    sqs, events = pipeline.client("sqs"), pipeline.client("events")
    url = str(sqs.create_queue(QueueName="completed")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["swath"], "detail-type": ["Run Completed"]}
    events.put_rule(Name="completed", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="completed", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    return url


def test_a_run_is_in_the_catalog_and_in_the_table(pipeline: Pipeline, tmp_path: Path):
    uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=12), "incoming/cataloged.tif")
    run_id = str(pipeline.wait(uri).run_id)

    def read(key: str) -> Any:
        body = pipeline.client("s3").get_object(Bucket=pipeline.results, Key=key)["Body"]
        return json.loads(body.read())

    def published() -> bool:
        listed = pipeline.client("s3").list_objects_v2(
            Bucket=pipeline.results, Prefix="stac/entries/"
        )
        return any(run_id in one["Key"] for one in listed.get("Contents", []))

    # The run is published after its rows are in the database. An update whose time is in the future
    # skips what is published later in the same minute, so only one is made.
    eventually(published, "the run's entry")
    pipeline.update_catalog()
    links = read("stac/ships/unknown/catalog.json")["links"]
    assert f"../../../runs/{run_id}/item.json" in [link["href"] for link in links]
    collection = read("stac/ships/collection.json")
    (version,) = (link["href"] for link in collection["links"] if link["rel"] == "item")
    assert read(f"stac/ships/{version.removeprefix('./')}")["properties"]["mlm:name"]
    table = f"detections/model=ships/month=1900-01/{run_id}.parquet"
    assert pipeline.client("s3").head_object(Bucket=pipeline.results, Key=table)


def test_time_and_area_are_in_the_event_the_item_and_the_database(
    pipeline: Pipeline, tmp_path: Path
):
    queue, details = completed_runs(pipeline), dict[str, Any]()
    given = write_scene(tmp_path / "given.tif", seed=11)
    empty = write_scene(tmp_path / "nothing.tif", fill=0, nodata=0, crs="EPSG:32651")
    pipeline.client("s3").put_object(
        Bucket=pipeline.scenes,
        Key="incoming/given.tif",
        Body=given.read_bytes(),
        Metadata={"acquired-at": "2026-05-31T12:00:00+02:00"},
    )
    uris = [f"s3://{pipeline.scenes}/incoming/given.tif"]
    uris.append(pipeline.drop(empty, "incoming/nothing.tif"))

    def received() -> bool:
        taken = pipeline.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        for message in taken.get("Messages", ()):
            detail = json.loads(message["Body"])["detail"]
            details[detail["scene"]["uri"]] = detail
        return details.keys() >= set(uris)

    runs = [pipeline.wait(uri) for uri in uris]
    eventually(received, "the events about the runs")

    with_time, without = (details[uri] for uri in uris)
    assert with_time["acquisition"]["acquired_at"] == "2026-05-31T10:00:00Z"
    assert with_time["acquisition"]["gsd"] == pytest.approx(10, rel=2e-3)
    assert with_time["valid_area_m2"] == pytest.approx(300 * 280 * 100, rel=2e-3)
    assert "acquired_at" not in without["acquisition"]
    assert without["valid_area_m2"] == 0
    for detail, datetime in ((with_time, "2026-05-31T10:00:00Z"), (without, None)):
        bucket, _, key = detail["item_uri"].removeprefix("s3://").partition("/")
        item = json.loads(pipeline.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        assert item["properties"]["datetime"] == datetime
        assert item["properties"]["swath:valid_area_m2"] == detail["valid_area_m2"]
    assert runs[0].acquired_at.isoformat() == "2026-05-31T10:00:00+00:00"
    assert runs[1].acquired_at is None


def test_an_all_nodata_scene_finishes_without_inference(pipeline: Pipeline, tmp_path: Path):
    scene = write_scene(tmp_path / "empty.tif", fill=0, nodata=0)

    run = pipeline.wait(pipeline.drop(scene, "incoming/nodata.tif"))

    assert (run.status, run.tiles_succeeded, run.detections) == ("succeeded", 0, 0)
    assert run.tiles_skipped == run.tiles_planned > 0
