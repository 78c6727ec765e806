"""Resume a run when its asynchronous endpoint has finished a shard.

SNS calls the function with SageMaker's notifications of success and of failure. The function
re-raises errors: Lambda delivers the message again, and then puts it into the dead-letter queue.
"""

import functools
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import SNSEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from swath.observability.powertools import logger, metrics, tracer
from swath.sagemaker.client.async_shards import Notification, resume_run
from swath.settings import ResumeRunSettings


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=SNSEvent)
def handler(event: SNSEvent, context: LambdaContext) -> dict[str, Any]:
    """Resume the state that waits for the shard in the event; SNS delivers one message an event."""
    notification = Notification.from_message(event.sns_message)
    logger.append_keys(request_uri=notification.request_uri)
    resumption = resume_run(notification, work_uri=settings().work_uri)
    logger.info("notification handled", extra=resumption.to_json())
    metrics.add_metric(f"Notifications{resumption.outcome.capitalize()}", MetricUnit.Count, 1)
    return resumption.to_json()


@functools.cache
def settings() -> ResumeRunSettings:
    """Return the settings, read once per process."""
    return ResumeRunSettings.from_env()
