"""Define the real-time endpoint, which responds at once and always has at least one host."""

from __future__ import annotations

from aws_cdk.aws_applicationautoscaling import CfnScalingPolicy
from constructs import Construct

from infra.constructs.endpoint import Endpoint, Serving
from infra.constructs.endpoint_hosts import HostScaling, hosts
from swath.settings import EndpointKind, has_gpu

# Target number of concurrent requests of a host; more than that add a host.
_REQUESTS_PER_HOST = 2


class RealtimeEndpoint(Endpoint):
    """Endpoint `<stack>-realtime`, which scales with the number of concurrent requests."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        instance_type: str,
        max_instances: int,
        serving: Serving,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            kind=EndpointKind.REALTIME,
            gpu=has_gpu(instance_type),
            serving=serving,
        )
        self.endpoint = self._deploy(
            hosts(instance_type),
            alarms=[self._errors_alarm(), self._latency_alarm()],
            # Otherwise a new model would start with one host, however many are busy.
            keep_instances=True,
        )
        scaling = HostScaling(self, "Scaling", endpoint=self.endpoint, least=1, most=max_instances)
        # This metric is sent every ten seconds, while InvocationsPerInstance takes minutes:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-policy.html
        scaling.track(
            "Concurrency",
            target=_REQUESTS_PER_HOST,
            predefined_metric_specification=CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                predefined_metric_type="SageMakerVariantConcurrentRequestsPerModelHighResolution"
            ),
        )
