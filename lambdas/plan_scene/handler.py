"""Check a run's scene against its model, and plan the run's tiles and shards.

The function is the state machine's first step.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.messages import RunRequest
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.planning import plan_run
from swath.settings import PlanSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Plan the run of the payload, a `RunRequest`, and return its `PlanSummary`."""
    request = RunRequest.from_json(event)
    logger.append_keys(run_id=request.run_id)
    summary = plan_run(request, settings())
    logger.info("run planned", extra=summary.to_json())
    metrics.add_metric("TilesPlanned", MetricUnit.Count, summary.tiles)
    return summary.to_json()


@functools.cache
def settings() -> PlanSettings:
    """Return the settings, read once per process."""
    return PlanSettings.from_env()
