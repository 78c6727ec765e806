"""Migrate the database's schema to the version of this release.

A deployment that changes the function calls it after `prepare_database`, inside the database's VPC.
The function is idempotent. Once the schema is migrated, it moves the rows of earlier releases and
counts detections that have no counts, until shortly before its timeout; the next call continues.
The deployment does not depend on that, since all functions read both tables.
"""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.database.connect import connect
from swath.database.migrate import migrate
from swath.database.move_rows import move_rows
from swath.database.summarize_runs import summarize_runs
from swath.errors import TransientError
from swath.observability.powertools import logger, metrics, tracer
from swath.settings import DatabaseSettings

MARGIN_SECONDS = 60
"""Time in s before the function's timeout at which it begins no further batch of rows."""
_LEFT = ("remaining", "unsummarized")


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Migrate the database that the environment names; ignore the event."""
    with connect(DatabaseSettings.from_env()) as connection:
        revision = migrate(connection)
        logger.info("database migrated", extra={"revision": revision})
        metrics.add_metric("DatabasesMigrated", MetricUnit.Count, 1)
        try:
            work = move_rows(connection, seconds=_seconds_left(context)).to_json()
            work |= summarize_runs(connection, seconds=_seconds_left(context)).to_json()
        except TransientError as error:
            # The schema is complete, so the deployment goes on.
            work = {"error": str(error)}
    if any(work.get(name) != 0 for name in _LEFT):
        logger.warning("rows of an earlier release remain: call this function again", extra=work)
    return {"revision": revision, **work}


def _seconds_left(context: LambdaContext) -> float:
    return context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
