import io
import json

import pytest

from lambdas.invoke_endpoint import handler as module
from swath.errors import InputError, PayloadError, TransientError
from swath.messages import Receipt, TileCounts
from swath.settings import InvokeEndpointSettings
from tests.helpers.answers import Answer, refused

SHARD = {"plan_uri": "s3://work/runs/r/plan.json", "index": 3}
RECEIPT = Receipt(
    run_id="r",
    index=3,
    plan_fingerprint="l",
    tiles=TileCounts(planned=4, succeeded=3, failed=1),
    detections=7,
    seconds=0.5,
)


@pytest.fixture(autouse=True)
def endpoint(runtime, set_env):
    module.settings.cache_clear()
    set_env(InvokeEndpointSettings(endpoint_name="swath-serverless"))
    yield runtime
    module.settings.cache_clear()


def test_the_endpoint_of_the_settings_infers_the_shard(endpoint, context):
    endpoint.answer(Answer(RECEIPT.to_json()))

    assert module.handler(SHARD, context) == RECEIPT.to_json()

    (asked,) = endpoint.asked
    assert asked.path == "/endpoints/swath-serverless/invocations"
    assert asked.json == {**SHARD, "task_token": ""}


def test_its_metrics_and_log_lines_have_the_plan(endpoint, context, monkeypatch, capsys):
    log = io.StringIO()
    monkeypatch.setattr(module.logger.registered_handler, "stream", log)
    endpoint.answer(Answer(RECEIPT.to_json()))

    module.handler(SHARD, context)

    line = json.loads(log.getvalue())
    assert (line["plan_uri"], line["shard"], line["detections"]) == (SHARD["plan_uri"], 3, 7)
    counted = json.loads(capsys.readouterr().out)
    assert (counted["TilesSucceeded"], counted["TilesFailed"]) == ([3], [1])


def test_a_full_queue_is_the_state_machines_to_try_again(endpoint, context):
    endpoint.answer(refused(429, {"message": "8 shards wait"}, error="BusyError"))

    with pytest.raises(TransientError):
        module.handler(SHARD, context)


def test_a_refusal_is_not(endpoint, context):
    endpoint.answer(refused(400, {"message": "no such plan"}, error="PayloadError"))

    with pytest.raises(InputError, match="no such plan"):
        module.handler(SHARD, context)


@pytest.mark.parametrize("event", [{}, {"plan_uri": "x"}, {"plan_uri": "x", "index": "1"}])
def test_a_payload_of_another_form_is_refused(event, context):
    with pytest.raises(PayloadError, match="ShardRequest"):
        module.handler(event, context)
