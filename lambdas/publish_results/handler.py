"""Publish a run's detections and their STAC Item in the results bucket.

The state machine calls the function.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.messages import MergedRun
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.publish import publish_run
from swath.settings import PublishSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the run of the payload, a `MergedRun`, and return its `PublishSummary`."""
    payload = MergedRun.from_json(event)
    logger.append_keys(run_id=payload.request.run_id)
    summary = publish_run(
        payload.request,
        payload.merge,
        settings().results_uri,
        backend=payload.plan.backend,
    )
    logger.info("run published", extra=summary.to_json())
    metrics.add_metric("RunsPublished", MetricUnit.Count, 1)
    return summary.to_json()


@functools.cache
def settings() -> PublishSettings:
    """Return the settings, read once per process."""
    return PublishSettings.from_env()
