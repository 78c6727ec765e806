"""Define the function that queues a shard at the asynchronous endpoint."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.async_endpoint import AsyncEndpoint
from infra.constructs.function import Function
from infra.grants import allow, write_objects
from swath.settings import SubmitShardSettings

# Maximum wait for a host: the first request may have none, and GPU hosts can be scarce.
_MAX_QUEUE_TIME = Duration.hours(1)
# Maximum time that SageMaker allows a container.
_MAX_INFERENCE_TIME = Duration.hours(1)
_MAX_NOTIFICATION_DELAY = Duration.minutes(5)


class SubmitShard(Function):
    """Lambda `submit_shard`.

    Attributes:
        callback_timeout: Maximum time from a request to the notification about its response.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: AsyncEndpoint,
        work: IBucket,
        log_retention: RetentionDays,
    ) -> None:
        settings = SubmitShardSettings(
            endpoint_name=endpoint.name,
            queue_seconds=int(_MAX_QUEUE_TIME.to_seconds()),
            inference_seconds=int(_MAX_INFERENCE_TIME.to_seconds()),
        )
        self.callback_timeout = _MAX_QUEUE_TIME.plus(_MAX_INFERENCE_TIME).plus(
            _MAX_NOTIFICATION_DELAY
        )
        super().__init__(
            scope,
            construct_id,
            name="submit_shard",
            environment=settings.to_env(),
            memory_mib=256,
            timeout=Duration.minutes(1),
            log_retention=log_retention,
        )
        allow(self.role, "sagemaker:InvokeEndpointAsync", on=[endpoint.arn])
        write_objects(self.role, work, "runs/*")
