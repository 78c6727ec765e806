"""Define the serverless endpoint, which costs nothing while idle and has no GPU."""

from __future__ import annotations

from aws_cdk.aws_sagemaker import CfnEndpointConfig
from constructs import Construct

from infra.constructs.endpoint import Endpoint, EndpointResources
from swath.settings import EndpointKind


class ServerlessEndpoint(Endpoint):
    """Endpoint `<stack>-serverless`, which SageMaker scales from zero to its concurrency."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        memory_mib: int,
        max_concurrency: int,
        resources: EndpointResources,
    ) -> None:
        super().__init__(
            scope, construct_id, kind=EndpointKind.SERVERLESS, gpu=False, resources=resources
        )
        self.endpoint = self._add_endpoint(
            {
                "serverless_config": CfnEndpointConfig.ServerlessConfigProperty(
                    memory_size_in_mb=memory_mib, max_concurrency=max_concurrency
                )
            },
            alarms=[self._add_errors_alarm(), self._add_latency_alarm()],
        )
