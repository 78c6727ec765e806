"""Define the hosts of an endpoint, and scale their number."""

from __future__ import annotations

from typing import Any

from aws_cdk.aws_applicationautoscaling import CfnScalableTarget, CfnScalingPolicy
from aws_cdk.aws_sagemaker import CfnEndpoint
from constructs import Construct

from infra.constructs.endpoint import VARIANT_NAME
from swath.settings import has_gpu

# CUDA 13, which torch and onnxruntime-gpu of uv.lock are built for, needs driver 580:
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
_GPU_HOST_IMAGE = "al2023-ami-sagemaker-inference-gpu-4-1"
# Timeout in s for starting a container: the images have some GB; the GPU image is mostly CUDA.
_START_TIMEOUT_SECONDS = 900

SCALE_OUT_COOLDOWN_SECONDS = 60
SCALE_IN_COOLDOWN_SECONDS = 300


def host_properties(instance_type: str) -> dict[str, Any]:
    """Return the properties of a production variant that define its hosts: initially one."""
    return {
        "instance_type": instance_type,
        "initial_instance_count": 1,
        "inference_ami_version": _GPU_HOST_IMAGE if has_gpu(instance_type) else None,
        "container_startup_health_check_timeout_in_seconds": _START_TIMEOUT_SECONDS,
        "model_data_download_timeout_in_seconds": _START_TIMEOUT_SECONDS,
    }


class HostScaling(Construct):
    """Limits on the number of an endpoint's hosts, and the scaling policies within them.

    Application Auto Scaling uses its service-linked role, which it creates itself.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: CfnEndpoint,
        min_hosts: int,
        max_hosts: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._target = CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint.attr_endpoint_name}/variant/{VARIANT_NAME}",
            min_capacity=min_hosts,
            max_capacity=max_hosts,
        )
        self._name = endpoint.endpoint_name

    def add_target_tracking(self, name: str, *, target: float, **metric: Any) -> CfnScalingPolicy:
        """Add a policy that keeps a metric at its target; `metric` is its specification."""
        return CfnScalingPolicy(
            self,
            name,
            policy_name=f"{self._name}-{name}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=self._target.ref,
            target_tracking_scaling_policy_configuration=CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=target,
                scale_in_cooldown=SCALE_IN_COOLDOWN_SECONDS,
                scale_out_cooldown=SCALE_OUT_COOLDOWN_SECONDS,
                **metric,
            ),
        )

    def add_wake_policy(self, name: str) -> CfnScalingPolicy:
        """Add a policy that adds one host whenever an alarm triggers it."""
        return CfnScalingPolicy(
            self,
            name,
            policy_name=f"{self._name}-{name}",
            policy_type="StepScaling",
            scaling_target_id=self._target.ref,
            step_scaling_policy_configuration=CfnScalingPolicy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                cooldown=SCALE_IN_COOLDOWN_SECONDS,
                metric_aggregation_type="Average",
                step_adjustments=[
                    CfnScalingPolicy.StepAdjustmentProperty(
                        metric_interval_lower_bound=0, scaling_adjustment=1
                    )
                ],
            ),
        )
