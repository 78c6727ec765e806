"""Tests of a shard at a real-time or serverless endpoint."""

import pytest

from swath.errors import PayloadError
from swath.messages import Receipt, ShardRequest, TileCounts
from swath.sagemaker.client.shards import RESPONSE_TIMEOUT_SECONDS, invoke_endpoint, runtime_client
from tests.helpers.answers import Answer

SHARD = ShardRequest(plan_uri="s3://work/runs/r/plan.json", index=3)
RECEIPT = Receipt(
    run_id="r",
    index=3,
    plan_fingerprint="l",
    tiles=TileCounts(planned=4, succeeded=3, failed=1),
    detections=7,
    seconds=0.5,
)


def test_the_endpoint_is_asked_for_the_shard_and_answers_with_its_receipt(runtime):
    runtime.answer(Answer(RECEIPT.to_json()))

    receipt = invoke_endpoint("swath-serverless", SHARD)

    assert receipt == RECEIPT
    (asked,) = runtime.asked
    assert asked.path == "/endpoints/swath-serverless/invocations"
    assert asked.headers["content-type"] == "application/json"
    assert ShardRequest.from_json(asked.json) == SHARD


@pytest.mark.parametrize("body", [b"", b"{}", b'{"type": "FeatureCollection"}', b"\xff"])
def test_what_is_no_receipt_is_no_answer(runtime, body):
    runtime.answer(Answer(body))

    with pytest.raises(PayloadError):
        invoke_endpoint("swath-serverless", SHARD)


def test_the_client_waits_for_longer_than_a_container_may_take(runtime):
    config = runtime_client().meta.config

    assert config.read_timeout > RESPONSE_TIMEOUT_SECONDS
    assert config.retries["total_max_attempts"] == 1
