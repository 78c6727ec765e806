"""Load a run's merged detections into PostGIS.

The state machine calls the function, inside the database's VPC.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.database.connect import connect
from swath.database.load import load_run
from swath.messages import MergedRun
from swath.observability.powertools import logger, metrics, tracer
from swath.settings import DatabaseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Load the run of the payload, a `MergedRun`, and return its `LoadSummary`."""
    payload = MergedRun.from_json(event)
    logger.append_keys(run_id=payload.request.run_id)
    with connect(settings()) as connection:
        summary = load_run(connection, payload.request, payload.merge, backend=payload.plan.backend)
    logger.info("run loaded", extra=summary.to_json())
    metrics.add_metric("DetectionsLoaded", MetricUnit.Count, summary.rows)
    return summary.to_json()


@functools.cache
def settings() -> DatabaseSettings:
    """Return the settings, read once per process."""
    return DatabaseSettings.from_env()
