import numpy as np
import pytest

from lambdas.infer_shard import handler as module
from swath.errors import PayloadError, TransientError
from swath.pipeline import shard
from tests.helpers.runs import receipt_of


@pytest.fixture(autouse=True)
def fresh_model():
    shard._load_once.cache_clear()
    yield
    shard._load_once.cache_clear()


@pytest.fixture
def plan_uri(make_plan, make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5], pixels[0, 58, 99] = 81, -1
    return make_plan(make_scene(pixels), shard_tiles=20)


def test_a_shard_is_inferred(plan_uri, context):
    answer = module.handler({"plan_uri": plan_uri, "index": 2}, context)

    assert answer == receipt_of(plan_uri, 2).to_json()
    assert answer["tiles"] == {"planned": 16, "succeeded": 15, "failed": 1, "skipped": 0}
    assert receipt_of(plan_uri, 0) is None


def test_unusable_input_is_reported_by_the_receipt(plan_uri, context, tmp_path):
    (tmp_path / "scene.tif").touch()

    answer = module.handler({"plan_uri": plan_uri, "index": 0}, context)

    assert answer["tiles"] == {"planned": 8, "succeeded": 0, "failed": 8, "skipped": 0}
    assert answer["failures"][0]["cause"].startswith("SceneChangedError: ")
    assert answer == receipt_of(plan_uri, 0).to_json()


def test_a_transient_error_is_left_to_the_state_machine(plan_uri, context, monkeypatch):
    def fail(*_):
        raise TransientError("no answer")

    monkeypatch.setattr(module, "run_shard", fail)

    with pytest.raises(TransientError):
        module.handler({"plan_uri": plan_uri, "index": 0}, context)


@pytest.mark.parametrize("event", [{}, {"plan_uri": "x"}, {"plan_uri": "x", "index": "1"}])
def test_a_payload_of_another_form_is_refused(event, context):
    with pytest.raises(PayloadError, match="InferShard"):
        module.handler(event, context)
