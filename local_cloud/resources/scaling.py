"""Register targets and policies of Application Auto Scaling, which clients can then describe."""

from __future__ import annotations

from local_cloud.resources.making import Made, Request

TARGET = ("ResourceId", "ScalableDimension", "ServiceNamespace")
_LIMITS = ("MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
_POLICY = (
    "PolicyName",
    "PolicyType",
    "StepScalingPolicyConfiguration",
    "TargetTrackingScalingPolicyConfiguration",
)


def make_scalable_target(request: Request) -> Made:
    """Register a target; references to it get its parts joined in one name."""
    properties = request.properties
    request.client("application-autoscaling").register_scalable_target(
        **{name: properties[name] for name in (*TARGET, *_LIMITS) if name in properties}
    )
    return Made("|".join(properties[name] for name in TARGET))


def make_scaling_policy(request: Request) -> Made:
    """Set a policy of a target, which the template names as a whole or by its parts."""
    properties = dict(request.properties)
    if "ScalingTargetId" in properties:
        parts = properties["ScalingTargetId"].split("|")
        properties.update(zip(TARGET, parts, strict=True))
    answer = request.client("application-autoscaling").put_scaling_policy(
        **{name: properties[name] for name in (*TARGET, *_POLICY) if name in properties}
    )
    return Made(answer["PolicyARN"], {"Arn": answer["PolicyARN"]})
