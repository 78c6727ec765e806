"""Define the real-time endpoint, which responds at once and always has at least one host."""

from __future__ import annotations

from aws_cdk.aws_applicationautoscaling import CfnScalingPolicy
from constructs import Construct

from infra.constructs.endpoint import Endpoint, EndpointResources
from infra.constructs.endpoint_hosts import HostScaling, host_properties
from swath.settings import EndpointKind, has_gpu

# Target number of concurrent requests of a host; more than that add a host.
_TARGET_REQUESTS_PER_HOST = 2


class RealtimeEndpoint(Endpoint):
    """Endpoint `<stack>-realtime`, which scales with the number of concurrent requests."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        instance_type: str,
        max_instances: int,
        resources: EndpointResources,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            kind=EndpointKind.REALTIME,
            gpu=has_gpu(instance_type),
            resources=resources,
        )
        self.endpoint = self._add_endpoint(
            host_properties(instance_type),
            alarms=[self._add_errors_alarm(), self._add_latency_alarm()],
            # Otherwise a new model would start with one host, however many are busy.
            retains_instance_count=True,
        )
        scaling = HostScaling(
            self, "Scaling", endpoint=self.endpoint, min_hosts=1, max_hosts=max_instances
        )
        # This metric is sent every ten seconds, while InvocationsPerInstance takes minutes:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-policy.html
        scaling.add_target_tracking(
            "Concurrency",
            target=_TARGET_REQUESTS_PER_HOST,
            predefined_metric_specification=CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                predefined_metric_type="SageMakerVariantConcurrentRequestsPerModelHighResolution"
            ),
        )
