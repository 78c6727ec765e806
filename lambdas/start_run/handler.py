"""Start a run for each scene, and each complete delivery, that is put into the scenes bucket.

EventBridge calls the function with S3's "Object Created" event, and with Step Functions'
"Execution Status Change" event when a run has ended. A drop of the same scene may wait for that
end. The function re-raises errors: Lambda delivers the event again, and then puts it into the
dead-letter queue.
"""

import functools
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import (
    EventBridgeEvent,
    S3EventBridgeNotificationEvent,
    event_source,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.models.catalog import Catalog, load_catalog
from swath.observability.powertools import logger, metrics, tracer
from swath.pipeline.start import Drop, start_run, start_waiting_drop
from swath.settings import StartRunSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> dict[str, Any]:
    """Start the run of the object in the event, or the drop that waits for the ended run."""
    settings, catalog = configuration()
    if event.source == "aws.states":
        summary = start_waiting_drop(event.detail, settings=settings)
        metrics.add_metric("RunsEnded", MetricUnit.Count, 1)
        metrics.add_metric("WaitingDropsStarted", MetricUnit.Count, summary.outcome == "started")
    else:
        drop = _parse_drop(S3EventBridgeNotificationEvent(event.raw_event))
        if drop.key.startswith(settings.deliveries_prefix):
            # Imported here, so that a cold start for a scene does not wait for it.
            from swath.pipeline.deliveries.start import DeliveryStarter  # noqa: PLC0415

            starter = DeliveryStarter(settings=settings, catalog=catalog, now=datetime.now(UTC))
            summary = starter.handle_drop(drop)
            name = f"DeliveryParts{summary.outcome.capitalize()}"
        else:
            summary = start_run(drop, settings=settings, catalog=catalog)
            name = f"Drops{summary.outcome.capitalize()}"
        metrics.add_metric(name, MetricUnit.Count, 1)
    logger.info("event handled", extra={"event_type": event.detail_type, **summary.to_json()})
    return summary.to_json()


@functools.cache
def configuration() -> tuple[StartRunSettings, Catalog]:
    """Return the settings and the catalog, read once per process.

    A deployment starts new processes, so both are current.
    """
    settings = StartRunSettings.from_env()
    return settings, load_catalog(settings.catalog_uri)


def _parse_drop(event: S3EventBridgeNotificationEvent) -> Drop:
    scene = event.detail.object
    return Drop(
        bucket=event.detail.bucket.name,
        # Not `scene.key`, which Powertools decodes: EventBridge, unlike S3's own notifications,
        # does not encode keys, and a key may contain a "+" or a "%".
        key=scene["key"],
        etag=scene.etag,
        size=scene.size or 0,
        dropped_at=event.time,
        sequencer=scene.get("sequencer") or "",
    )
