"""plan_scene on moto's S3, over HTTP as GDAL reads it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from lambdas.plan_scene import handler as module
from swath import storage
from swath.errors import PayloadError, SceneError, UnknownModelError
from swath.messages import ModelRef, PlanSummary, RunOptions, RunRequest, SceneRef
from swath.models import packing
from swath.pipeline.run_store import RunStore
from swath.settings import PlanSettings

SHIPS = Path(__file__).resolve().parents[1] / "small_models" / "ships"


@pytest.fixture(autouse=True)
def work(http_bucket, set_env):
    module.settings.cache_clear()
    set_env(PlanSettings(work_uri=http_bucket))
    yield http_bucket
    module.settings.cache_clear()


@pytest.fixture
def model(work, tmp_path):
    """The ships model, deployed."""
    archive = tmp_path / "model.tar.gz"
    packing.pack(SHIPS, archive)
    uri = storage.join(work, "ships", "model.tar.gz")
    storage.copy(str(archive), uri)
    return ModelRef(name="ships", uri=uri, digest=packing.package_digest(SHIPS))


@pytest.fixture
def drop(work, make_scene):
    """Drops a scene of that many bands and gives the request to run it."""

    def drop(model, *, bands=5):
        uri = storage.join(work, "incoming", "x.tif")
        storage.copy(make_scene(np.ones((bands, 300, 500), "uint16")), uri)
        etag = storage.etag(uri)
        return RunRequest.new(
            scene=SceneRef(uri=uri, etag=etag, dropped_at="2026-11-21T12:00:00Z"),
            model=model,
            options=RunOptions(),
        )

    return drop


def test_a_dropped_scene_is_planned(work, model, drop, context):
    request = drop(model)

    summary = PlanSummary.from_json(module.handler(request.to_json(), context))

    assert (summary.backend, summary.shards, summary.tiles) == ("lambda", 1, 6)
    plan = RunStore.open(summary.uri).plan
    assert (plan.run_id, plan.model) == (request.run_id, model)
    assert storage.read_json(storage.join(work, "runs", request.run_id, "shards.json")) == [0]


def test_its_metrics_and_log_lines_have_the_run(model, drop, context, monkeypatch, capsys):
    log = io.StringIO()
    monkeypatch.setattr(module.logger.registered_handler, "stream", log)
    request = drop(model)

    module.handler(request.to_json(), context)

    line = json.loads(log.getvalue())
    assert (line["run_id"], line["tiles"], line["message"]) == (request.run_id, 6, "run planned")
    assert json.loads(capsys.readouterr().out)["TilesPlanned"] == [6]


def test_a_scene_that_does_not_fit_the_model_fails_with_both_named(model, drop, context):
    request = drop(model, bands=3)

    with pytest.raises(SceneError, match=r"x\.tif has 3 bands .* B02, B03, B04, B08, B11"):
        module.handler(request.to_json(), context)


def test_a_model_that_is_not_deployed_fails_by_name(drop, context):
    request = drop(ModelRef(name="planes", uri="", digest=""))

    with pytest.raises(UnknownModelError, match="planes"):
        module.handler(request.to_json(), context)


def test_an_invalid_request_is_refused(context):
    with pytest.raises(PayloadError, match="run_id"):
        module.handler({}, context)
