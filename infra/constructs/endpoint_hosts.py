"""The hosts of an endpoint, and how many of them there are."""

from __future__ import annotations

from typing import Any

from aws_cdk.aws_applicationautoscaling import CfnScalableTarget, CfnScalingPolicy
from aws_cdk.aws_sagemaker import CfnEndpoint
from constructs import Construct

from infra.constructs.endpoint import VARIANT
from swath.settings import has_gpu

# CUDA 13, which torch and onnxruntime-gpu of uv.lock are built for, needs driver 580:
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
_GPU_HOST_IMAGE = "al2023-ami-sagemaker-inference-gpu-4-1"
# For some GB of image, of which the GPU's is the larger part CUDA.
_START_SECONDS = 900

SCALE_OUT_SECONDS = 60
SCALE_IN_SECONDS = 300


def hosts(instance_type: str) -> dict[str, Any]:
    """The part of a production variant that says what it runs on: one host to begin with."""
    return {
        "instance_type": instance_type,
        "initial_instance_count": 1,
        "inference_ami_version": _GPU_HOST_IMAGE if has_gpu(instance_type) else None,
        "container_startup_health_check_timeout_in_seconds": _START_SECONDS,
        "model_data_download_timeout_in_seconds": _START_SECONDS,
    }


class HostScaling(Construct):
    """How many hosts an endpoint may have, and the policies that say how many it should.

    Application Auto Scaling acts by its service-linked role, which it makes itself.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, endpoint: CfnEndpoint, least: int, most: int
    ) -> None:
        super().__init__(scope, construct_id)
        self._target = CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint.attr_endpoint_name}/variant/{VARIANT}",
            min_capacity=least,
            max_capacity=most,
        )
        self._name = endpoint.endpoint_name

    def track(self, name: str, *, target: float, **metric: Any) -> CfnScalingPolicy:
        """As many hosts as keep a metric at its target; `metric` is its specification."""
        return CfnScalingPolicy(
            self,
            name,
            policy_name=f"{self._name}-{name}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=self._target.ref,
            target_tracking_scaling_policy_configuration=CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=target,
                scale_in_cooldown=SCALE_IN_SECONDS,
                scale_out_cooldown=SCALE_OUT_SECONDS,
                **metric,
            ),
        )

    def add_one(self, name: str) -> CfnScalingPolicy:
        """One host more, whenever an alarm says so."""
        return CfnScalingPolicy(
            self,
            name,
            policy_name=f"{self._name}-{name}",
            policy_type="StepScaling",
            scaling_target_id=self._target.ref,
            step_scaling_policy_configuration=CfnScalingPolicy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                cooldown=SCALE_IN_SECONDS,
                metric_aggregation_type="Average",
                step_adjustments=[
                    CfnScalingPolicy.StepAdjustmentProperty(
                        metric_interval_lower_bound=0, scaling_adjustment=1
                    )
                ],
            ),
        )
