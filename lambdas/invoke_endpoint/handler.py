"""Infer one shard of a run at a real-time or serverless endpoint.

The state machine's Map calls the function once for each shard. The function waits for the
response, so the Map can limit the number of concurrent shards.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.messages import ShardRequest
from swath.observability.powertools import logger, metrics, tracer
from swath.sagemaker.client.shards import invoke_endpoint
from swath.settings import InvokeEndpointSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send the shard of the payload, a `ShardRequest`, to the endpoint; return its `Receipt`."""
    request = ShardRequest.from_json(event)
    logger.append_keys(plan_uri=request.plan_uri, shard=request.index)
    receipt = invoke_endpoint(settings().endpoint_name, request)
    logger.info("shard done", extra=receipt.to_json())
    metrics.add_metric("TilesSucceeded", MetricUnit.Count, receipt.tiles.succeeded)
    metrics.add_metric("TilesFailed", MetricUnit.Count, receipt.tiles.failed)
    return receipt.to_json()


@functools.cache
def settings() -> InvokeEndpointSettings:
    """Return the settings, read once per process."""
    return InvokeEndpointSettings.from_env()
