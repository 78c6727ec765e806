"""Queue one shard of a run at an asynchronous endpoint.

The state machine's Map calls the function once for each shard, in a state that then waits for
`resume_run`.
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
    """Queue the shard of the payload, a `ShardRequest` with the waiting state's task token."""
    request = ShardRequest.from_json(event)
    logger.append_keys(plan_uri=request.plan_uri, shard=request.index)
    submission = submit_shard(request, settings())
    logger.info("shard queued", extra=submission.to_json())
    metrics.add_metric("ShardsQueued", MetricUnit.Count, 1)
    return submission.to_json()


@functools.cache
def settings() -> SubmitShardSettings:
    """Return the settings, read once per process."""
    return SubmitShardSettings.from_env()
