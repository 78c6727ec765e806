"""Queues one shard of a run at an asynchronous endpoint.

Called by the state machine's Map, once a shard, in a state that then waits for `resume_run`.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.messages import ShardRequest
from swath.observability.powertools import logger, metrics, tracer
from swath.sagemaker.client.async_shards import submit_shard
from swath.settings import SubmitShardSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Queue the shard of the payload, a `ShardRequest` with the token of the waiting state."""
    request = ShardRequest.from_json(event)
    logger.append_keys(plan_uri=request.plan_uri, shard=request.index)
    submission = submit_shard(request, settings())
    logger.info("shard queued", extra=submission.to_json())
    metrics.add_metric("ShardsQueued", MetricUnit.Count, 1)
    return submission.to_json()


@functools.cache
def settings() -> SubmitShardSettings:
    """The settings, read once per process."""
    return SubmitShardSettings.from_env()
