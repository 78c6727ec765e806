"""submit_shard on moto's S3."""

import pytest

from lambdas.submit_shard import handler as module
from swath import storage
from swath.errors import PayloadError, TransientError
from swath.settings import SubmitShardSettings
from tests.helpers.answers import Answer

OUTPUT = "s3://work/invocations/answers/0.out"


@pytest.fixture(autouse=True)
def endpoint(runtime, set_env):
    module.settings.cache_clear()
    set_env(
        SubmitShardSettings(endpoint_name="swath-async", queue_seconds=3600, inference_seconds=3600)
    )
    yield runtime
    module.settings.cache_clear()


@pytest.fixture
def shard(http_bucket):
    """The payload of the waiting state, of a run whose work bucket there is."""
    plan_uri = storage.join(http_bucket, "runs", "r", "plan.json")
    return {"plan_uri": plan_uri, "index": 3, "task_token": "AQC8"}


def test_the_shard_waits_where_the_endpoint_reads_it(endpoint, shard, http_bucket, context):
    headers = {"X-Amzn-SageMaker-OutputLocation": OUTPUT}
    endpoint.answer(Answer(status=202, headers=headers))

    answer = module.handler(shard, context)

    uri = storage.join(http_bucket, "runs", "r", "requests", "3.json")
    assert answer == {"request_uri": uri, "output_uri": OUTPUT}
    assert storage.read_json(uri) == shard
    assert endpoint.asked[0].headers["x-amzn-sagemaker-inputlocation"] == uri
    assert endpoint.asked[0].path == "/endpoints/swath-async/async-invocations"


def test_a_throttle_is_the_state_machines_to_try_again(endpoint, shard, context):
    endpoint.answer(Answer({"message": "slow"}, status=400, error="ThrottlingException"))

    with pytest.raises(TransientError):
        module.handler(shard, context)


def test_a_payload_of_another_form_is_refused(context):
    with pytest.raises(PayloadError, match="index"):
        module.handler({"plan_uri": "x", "task_token": "t"}, context)
