"""Add the endpoints that the settings request, each with the function that sends it shards."""

from __future__ import annotations

from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from infra.constructs.async_endpoint import AsyncEndpoint
from infra.constructs.endpoint import Endpoint, EndpointResources
from infra.constructs.invoke_endpoint import InvokeEndpoint
from infra.constructs.realtime_endpoint import RealtimeEndpoint
from infra.constructs.serverless_endpoint import ServerlessEndpoint
from infra.constructs.submit_shard import SubmitShard
from infra.settings import DeploySettings
from infra.shard_states import MapBackend
from swath.messages import Backend
from swath.settings import EndpointKind

# Number of shards of one run for each host: half of them are in inference, and half wait, which
# triggers scaling to another host.
MAX_SHARDS_PER_HOST = 4


class Endpoints:
    """Endpoints of a stack.

    Attributes:
        names: Names of the endpoints, by kind.
        backends: Backends of the endpoints, for the state machine's Maps.
        async_endpoint: Asynchronous endpoint; None if there is none.
    """

    def __init__(
        self, scope: Construct, *, settings: DeploySettings, resources: EndpointResources
    ) -> None:
        self._scope = scope
        self._settings = settings
        self._resources = resources
        self.names: dict[str, str] = {}
        self.backends: list[MapBackend] = []
        self.async_endpoint: AsyncEndpoint | None = None
        if EndpointKind.REALTIME in settings.endpoints:
            self._add_realtime()
        if EndpointKind.ASYNC in settings.endpoints:
            self._add_async()
        if EndpointKind.SERVERLESS in settings.endpoints:
            self._add_serverless()

    def _add_realtime(self) -> None:
        endpoint = RealtimeEndpoint(
            self._scope,
            "ServeRealtime",
            instance_type=self._settings.endpoint_instance_type,
            max_instances=self._settings.endpoint_max_instances,
            resources=self._resources,
        )
        self.names["Realtime"] = endpoint.name
        self.backends.append(
            MapBackend(
                backend=Backend.SAGEMAKER_REALTIME,
                state_suffix="RealtimeEndpoint",
                label="InferShardsRealtime",
                function=self._add_invoke_function("InvokeEndpointRealtime", endpoint),
                max_concurrency=MAX_SHARDS_PER_HOST * self._settings.endpoint_max_instances,
            )
        )

    def _add_async(self) -> None:
        endpoint = AsyncEndpoint(
            self._scope,
            "ServeAsync",
            instance_type=self._settings.endpoint_instance_type,
            max_instances=self._settings.endpoint_max_instances,
            resources=self._resources,
        )
        submit = SubmitShard(
            self._scope,
            "SubmitShard",
            endpoint=endpoint,
            work=self._resources.work,
            log_retention=self._resources.log_retention,
        )
        self.names["Async"] = endpoint.name
        self.async_endpoint = endpoint
        self.backends.append(
            MapBackend(
                backend=Backend.SAGEMAKER_ASYNC,
                state_suffix="AsyncEndpoint",
                label="InferShardsAsync",
                function=submit.function,
                max_concurrency=MAX_SHARDS_PER_HOST * self._settings.endpoint_max_instances,
                callback_timeout=submit.callback_timeout,
            )
        )

    def _add_serverless(self) -> None:
        endpoint = ServerlessEndpoint(
            self._scope,
            "ServeServerless",
            memory_mib=self._settings.serverless_memory_mib,
            max_concurrency=self._settings.serverless_max_concurrency,
            resources=self._resources,
        )
        self.names["Serverless"] = endpoint.name
        self.backends.append(
            MapBackend(
                backend=Backend.SAGEMAKER_SERVERLESS,
                state_suffix="ServerlessEndpoint",
                label="InferShardsServerless",
                function=self._add_invoke_function("InvokeEndpointServerless", endpoint),
                max_concurrency=self._settings.serverless_max_concurrency,
            )
        )

    def _add_invoke_function(self, construct_id: str, endpoint: Endpoint) -> IFunction:
        return InvokeEndpoint(
            self._scope,
            construct_id,
            endpoint=endpoint,
            log_retention=self._resources.log_retention,
        ).function
