"""Record a failed run and its cause in the database.

A state machine calls the function with Step Functions' "Execution Status Change" event, inside the
database's VPC. The function re-raises errors: the state machine retries for 12 hours, and then the
event of its own failed execution goes to the dead-letter queue.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.database.connect import connect
from swath.database.failures import record_failure
from swath.messages.execution_events import RunFailure
from swath.observability.powertools import logger, metrics, tracer
from swath.settings import DatabaseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Record the failure in the event; return whether a row was written."""
    failure = RunFailure.from_event_detail(event.detail)
    logger.append_keys(run_id=failure.request.run_id)
    # Without a wait here: the state machine retries for hours, and its waits cost no function time.
    with connect(settings(), timeout=0.0) as connection:
        recorded = record_failure(connection, failure)
    fields = {"status": failure.status, "error": failure.error, "cause": failure.cause}
    logger.warning(
        "run failed" if recorded else "failure is outdated: nothing recorded", extra=fields
    )
    metrics.add_metric("RunsFailed", MetricUnit.Count, int(recorded))
    return {"run_id": failure.request.run_id, "recorded": recorded}


@functools.cache
def settings() -> DatabaseSettings:
    """Return the settings, read once per process."""
    return DatabaseSettings.from_env()
