"""Migrate the database's schema to the version of this release.

Every deployment calls the function after `prepare_database`, inside the database's VPC. The
function is idempotent.
"""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.database.connect import connect
from swath.database.migrate import migrate
from swath.observability.powertools import logger, metrics, tracer
from swath.settings import DatabaseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Migrate the database that the environment names; ignore the event."""
    with connect(DatabaseSettings.from_env()) as connection:
        revision = migrate(connection)
    logger.info("database migrated", extra={"revision": revision})
    metrics.add_metric("DatabasesMigrated", MetricUnit.Count, 1)
    return {"revision": revision}
