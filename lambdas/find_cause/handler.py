"""Finds the true error and cause of a failed run, and writes them to its `summary.json`.

Called by a state machine with Step Functions' "Execution Status Change" event, outside the
database's network. An error is raised on: the state machine calls again, and goes on with the
event's own words if that does not help.
"""

import functools
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from swath.errors import SwathError
from swath.observability.powertools import logger, tracer
from swath.pipeline.causes import explain
from swath.pipeline.run_report import write_failure
from swath.settings import FindCauseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Return the event with the error and the cause of the shard that failed first."""
    detail: Mapping[str, Any] = event.detail
    try:
        detail = explain(detail, work_uri=settings().work_uri)
    finally:  # a run whose cause cannot be found has failed all the same
        _summarize(detail)
    found = {key: detail[key] for key in ("name", "status", "error", "cause")}
    logger.info("cause found", extra={"failure": found})
    return {**event.raw_event, "detail": detail}


def _summarize(detail: Mapping[str, Any]) -> None:
    """Write the run's summary, if possible: the topic and the database are told in any case."""
    try:
        written = write_failure(detail, settings().results_uri)
    except (SwathError, ClientError) as error:
        logger.warning("the summary cannot be written", extra={"reason": str(error)})
    else:
        logger.info("summary written" if written else "a failure that is no longer news")


@functools.cache
def settings() -> FindCauseSettings:
    """The settings, read once per process."""
    return FindCauseSettings.from_env()
