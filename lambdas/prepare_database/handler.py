"""Create the role, the extension and the grants that the schema needs.

Every deployment calls the function before `migrate_database`. The function is idempotent.
"""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.database.bootstrap import prepare_database
from swath.observability.powertools import logger, metrics, tracer
from swath.settings import PrepareDatabaseSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Prepare the database that the environment names; ignore the event."""
    statements = prepare_database(PrepareDatabaseSettings.from_env())
    logger.info("database prepared", extra={"statements": statements})
    metrics.add_metric("DatabasesPrepared", MetricUnit.Count, 1)
    return {"statements": statements}
