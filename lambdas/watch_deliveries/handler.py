"""Report deliveries that are incomplete for long, and run those that are complete after all.

A schedule calls the function. The time in its event is the time of the check. The function
re-raises errors: Lambda calls it again, and then puts the event into the dead-letter queue. The
next call continues where this one ended.
"""

import functools
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.models.catalog import Catalog, load_catalog
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.deliveries.start import DeliveryStarter
from swath.pipeline.deliveries.watch import watch_deliveries
from swath.settings import WatchDeliveriesSettings

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Check the deliveries that have become due."""
    settings, catalog, sns = configuration()

    def publish(report: dict[str, Any]) -> None:
        sns.publish(TopicArn=settings.topic_arn, Message=json.dumps(report))
        fields = {"delivery": report["delivery"], "reason": report["reason"]}
        logger.warning("delivery is incomplete", extra=fields)

    now = datetime.fromisoformat(event.time)
    starter = DeliveryStarter(settings=settings, catalog=catalog, now=now)
    summary = watch_deliveries(starter, publish)
    metrics.add_metric("DeliveriesIncomplete", MetricUnit.Count, summary.reported)
    logger.info("deliveries checked", extra=summary.to_json())
    return summary.to_json()


@functools.cache
def configuration() -> tuple[WatchDeliveriesSettings, Catalog, "SNSClient"]:
    """Return the settings, the catalog and the client of SNS, made once per process."""
    settings = WatchDeliveriesSettings.from_env()
    return settings, load_catalog(settings.catalog_uri), boto3.client("sns")
