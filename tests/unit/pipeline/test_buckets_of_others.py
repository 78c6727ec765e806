"""Runs of scenes in a bucket whose readers pay: each entrance offers to, in each process."""

import json
from types import SimpleNamespace

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

import swath
from swath import storage
from swath.errors import SceneError
from swath.items import SceneSources, read_item
from swath.items.scene_arguments import parse_scene
from swath.messages import ModelRef, RunOptions, RunRequest, SceneRef
from swath.models.package import describe_package
from swath.pipeline.dropped_document import identify_scene
from swath.pipeline.local import run_local
from swath.pipeline.plan import read_plan
from swath.pipeline.planning import plan_run
from swath.pipeline.shard import run_shard
from swath.settings import PlanSettings
from tests.helpers.items import write_item
from tests.unit.pipeline.test_scenes_of_several_files import NAMES, bands_package, write_file

FORMS = ("file", "item", "list", "folder")


@pytest.fixture(autouse=True)
def fresh():
    storage.forget_buckets()
    yield
    storage.forget_buckets()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return bands_package(tmp_path_factory.mktemp("model"), NAMES)


@pytest.fixture
def archive(http_bucket, tmp_path, monkeypatch):
    """A bucket with all forms of one scene; `payments` has who offered to pay for each request."""
    pixels = np.random.default_rng(3).integers(0, 99, (3, 70, 90), np.uint8)
    file = write_file(tmp_path / "file.tif", pixels)
    item = write_item(tmp_path / "item", file, factors={})
    listed = item.with_name("list.json")
    listed.write_text(json.dumps({"bands": {name: f"{name}.tif" for name in NAMES}}))
    s3, bucket = boto3.client("s3"), http_bucket.removeprefix("s3://")
    for path in (file, *item.parent.iterdir()):
        key = str(path.relative_to(tmp_path))
        metadata = {"acquired-at": "2026-05-31T12:00:00Z"}
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), Metadata=metadata)
    payments = []

    def call(server, environ, start_response):
        if not environ["PATH_INFO"].startswith(f"/{bucket}"):
            return original(server, environ, start_response)
        payments.append(environ.get("HTTP_X_AMZ_REQUEST_PAYER", ""))
        if payments[-1] == "requester":
            return original(server, environ, start_response)
        start_response("403 Forbidden", [("Content-Length", "0")])
        return [b""]

    original = DomainDispatcherApplication.__call__
    monkeypatch.setattr(DomainDispatcherApplication, "__call__", call)
    scenes = {
        "file": f"{http_bucket}/file.tif",
        "item": f"{http_bucket}/item/item.json",
        "list": f"{http_bucket}/item/list.json",
        "folder": f"{http_bucket}/item/",
    }
    return SimpleNamespace(
        scenes=scenes, source=f"{http_bucket}/?requester_pays=true", payments=payments, file=file
    )


@pytest.fixture
def plan(archive, model, tmp_path):
    """Return a function that plans a scene in a process of its own, and gives the plan's URI."""

    def run(form, model=model, source=archive.source):
        uri = archive.scenes[form]
        sources = SceneSources.parse([archive.source])
        if form == "file":
            sources.configure_access(uri)
            etag = storage.etag(uri)
        else:
            etag = read_item(uri, sources).etag
        storage.forget_buckets()
        info = describe_package(str(model))
        request = RunRequest.new(
            scene=SceneRef(uri=uri, etag=etag, dropped_at="2026-11-21T12:00:00Z"),
            model=ModelRef(name="m", uri=str(model), digest=info.digest),
            options=RunOptions(),
        )
        settings = PlanSettings(work_uri=str(tmp_path / "work"), scene_sources=(source,))
        try:
            return plan_run(request, settings).uri
        finally:
            storage.forget_buckets()

    return run


@pytest.mark.parametrize("form", FORMS)
def test_the_plan_and_each_shard_offer_to_pay(archive, plan, form):
    uri = plan(form)
    planned = read_plan(uri)
    assert planned.scene_access == storage.BucketAccess(requester_pays=True)
    assert planned.acquisition.acquired_at.startswith("2026-")

    archive.payments.clear()
    assert run_shard(uri, 0).detections > 20

    assert set(archive.payments) == {"requester"}


def test_the_shards_of_a_file_that_is_resampled_offer_to_pay(plan, tmp_path):
    uri = plan("file", bands_package(tmp_path / "coarse", NAMES, gsd=20))
    (asset,) = read_plan(uri).stack.assets
    assert asset.requester_pays

    assert run_shard(uri, 0).tiles.failed == 0


@pytest.mark.parametrize("form", FORMS)
def test_without_the_option_the_plan_is_refused(archive, plan, form):
    with pytest.raises(SceneError, match="requester_pays=true"):
        plan(form, source=archive.source.partition("?")[0])


@pytest.mark.parametrize("form", FORMS)
def test_a_local_run_and_a_detection_offer_to_pay(archive, model, tmp_path, form):
    expected = run_local(str(archive.file), str(model), tmp_path / "file").detections
    scene, sources = archive.scenes[form], [archive.source]

    assert run_local(scene, str(model), tmp_path / "out", sources=sources).detections == expected
    storage.forget_buckets()
    assert len(swath.detect(scene, model, sources=sources)) == expected
    assert set(archive.payments) == {"requester"}


@pytest.mark.parametrize("form", FORMS)
def test_without_the_source_a_local_run_is_refused(archive, model, tmp_path, form):
    with pytest.raises((ClientError, SceneError), match="403"):
        run_local(archive.scenes[form], str(model), tmp_path / "out")


@pytest.mark.parametrize("form", ["item", "list"])
def test_a_dropped_document_is_identified(archive, form):
    uri = archive.scenes[form]
    etag = parse_scene(uri, SceneSources.parse([archive.source])).etag
    storage.forget_buckets()
    scene = SceneRef(uri=uri, etag=etag, dropped_at="2026-11-21T12:00:00Z")

    identified = identify_scene(scene, [archive.source])

    assert identified.assets
    assert bool(identified.scene_id) == (form == "item")
    assert set(archive.payments) == {"requester"}
