"""Update the STAC catalog of the results bucket with the runs that were published since.

A schedule calls the function. The time in its event is the time of the update. The function
re-raises errors: Lambda calls it again, and the next scheduled call continues where it ended.
"""

import functools
from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.catalog.update import update_catalog
from swath.settings import PublishSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Add the published runs to the catalog, and return the `UpdateSummary`."""
    summary = update_catalog(settings().results_uri, datetime.fromisoformat(event.time))
    metrics.add_metric("RunsCataloged", MetricUnit.Count, summary.runs)
    logger.info("catalog updated", extra=summary.to_json())
    return summary.to_json()


@functools.cache
def settings() -> PublishSettings:
    """Return the settings, read once per process."""
    return PublishSettings.from_env()
