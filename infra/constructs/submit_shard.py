"""The function that queues a shard at the asynchronous endpoint."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.async_endpoint import AsyncEndpoint
from infra.constructs.function import Function
from infra.grants import allow, write_objects
from swath.settings import SubmitShardSettings


class SubmitShard(Function):
    """Lambda `submit_shard`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: AsyncEndpoint,
        work: IBucket,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="submit_shard",
            environment=SubmitShardSettings(endpoint_name=endpoint.name).to_env(),
            memory_mib=256,
            timeout=Duration.minutes(1),
            log_retention=log_retention,
        )
        allow(self.role, "sagemaker:InvokeEndpointAsync", on=[endpoint.arn])
        write_objects(self.role, work, "runs/*")
