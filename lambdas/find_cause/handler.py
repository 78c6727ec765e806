"""Determine the true error and cause of a failed run, and write them to its `summary.json`.

A state machine calls the function with Step Functions' "Execution Status Change" event, outside the
database's VPC. The function re-raises errors: the state machine retries, and then continues with
the event's own error and cause.
"""

import functools
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from swath.errors import SwathError
from swath.observability.powertools import logger, tracer
from swath.pipeline.causes import resolve_cause
from swath.pipeline.run_report import write_failure_report
from swath.settings import FindCauseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Return the event with the error and the cause of the shard that failed first."""
    detail: Mapping[str, Any] = event.detail
    try:
        detail = resolve_cause(detail, work_uri=settings().work_uri)
    finally:  # even without its true cause, a failed run needs a summary
        _summarize(detail)
    failure = {key: detail[key] for key in ("name", "status", "error", "cause")}
    logger.info("cause determined", extra={"failure": failure})
    return {**event.raw_event, "detail": detail}


def _summarize(detail: Mapping[str, Any]) -> None:
    """Write the run's summary if possible; on an error, only log a warning.

    The topic and the database must learn of the failure in any case.
    """
    try:
        written = write_failure_report(detail, settings().results_uri)
    except (SwathError, ClientError) as error:
        logger.warning("the summary cannot be written", extra={"reason": str(error)})
    else:
        logger.info("summary written" if written else "failure is outdated: no summary written")


@functools.cache
def settings() -> FindCauseSettings:
    """Return the settings, read once per process."""
    return FindCauseSettings.from_env()
