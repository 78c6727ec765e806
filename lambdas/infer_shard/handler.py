"""Infer one shard of a run on a CPU.

The state machine's Map calls the function once for each shard.
"""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.errors import InputError
from swath.messages import Payload
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.shard import run_shard, write_failed_receipt


class InferShard(Payload, frozen=True, kw_only=True):
    """Payload of the function: one shard of a plan."""

    plan_uri: str
    """Address of the plan."""
    index: int
    """Number of the shard, from 0."""


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Infer the shard of the payload, an `InferShard`, and return its `Receipt`."""
    shard = InferShard.from_json(event)
    logger.append_keys(plan_uri=shard.plan_uri, shard=shard.index)
    try:
        receipt = run_shard(shard.plan_uri, shard.index)
    except InputError as error:
        logger.exception("shard refused")
        receipt = write_failed_receipt(shard.plan_uri, shard.index, error)
    logger.info("shard done", extra=receipt.to_json())
    metrics.add_metric("TilesSucceeded", MetricUnit.Count, receipt.tiles.succeeded)
    metrics.add_metric("TilesFailed", MetricUnit.Count, receipt.tiles.failed)
    return receipt.to_json()
