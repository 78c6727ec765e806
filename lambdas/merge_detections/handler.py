"""Merge the detections of a run's shards into one GeoParquet file.

The state machine calls the function.
"""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.messages import Payload
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.merge import merge_run


class MergeDetections(Payload, frozen=True, kw_only=True):
    """Payload of the function: the run to merge."""

    plan_uri: str
    """Address of the run's plan."""


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Merge the run of the payload, a `MergeDetections`, and return its `MergeSummary`."""
    plan_uri = MergeDetections.from_json(event).plan_uri
    logger.append_keys(plan_uri=plan_uri)
    summary = merge_run(plan_uri)
    logger.info("run merged", extra=summary.to_json())
    metrics.add_metric("Detections", MetricUnit.Count, summary.detections)
    metrics.add_metric("TilesFailed", MetricUnit.Count, summary.tiles.failed)
    return summary.to_json()
