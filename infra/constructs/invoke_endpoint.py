"""Define the function that sends a shard to an endpoint and waits for the response."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

from infra.constructs.endpoint import Endpoint
from infra.constructs.function import Function
from infra.grants import allow
from swath.settings import InvokeEndpointSettings


class InvokeEndpoint(Function):
    """Lambda `invoke_endpoint` for one endpoint."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: Endpoint,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="invoke_endpoint",
            environment=InvokeEndpointSettings(endpoint_name=endpoint.name).to_env(),
            memory_mib=256,
            # A little more than the client's timeout for the response.
            timeout=Duration.seconds(90),
            log_retention=log_retention,
        )
        allow(self.role, "sagemaker:InvokeEndpoint", on=[endpoint.arn])
