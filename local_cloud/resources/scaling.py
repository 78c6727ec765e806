"""Register targets and policies of Application Auto Scaling, which clients can then describe."""

from __future__ import annotations

from local_cloud.resources.model import CreatedResource, ResourceRequest

TARGET_KEYS = ("ResourceId", "ScalableDimension", "ServiceNamespace")
_LIMIT_KEYS = ("MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
_POLICY_KEYS = (
    "PolicyName",
    "PolicyType",
    "StepScalingPolicyConfiguration",
    "TargetTrackingScalingPolicyConfiguration",
)


def create_scalable_target(request: ResourceRequest) -> CreatedResource:
    """Register a target; references to it get its parts joined in one name."""
    properties = request.properties
    request.client("application-autoscaling").register_scalable_target(
        **{name: properties[name] for name in (*TARGET_KEYS, *_LIMIT_KEYS) if name in properties}
    )
    return CreatedResource("|".join(properties[name] for name in TARGET_KEYS))


def create_scaling_policy(request: ResourceRequest) -> CreatedResource:
    """Set a policy of a target, which the template names as a whole or by its parts."""
    properties = dict(request.properties)
    if "ScalingTargetId" in properties:
        parts = properties["ScalingTargetId"].split("|")
        properties.update(zip(TARGET_KEYS, parts, strict=True))
    response = request.client("application-autoscaling").put_scaling_policy(
        **{name: properties[name] for name in (*TARGET_KEYS, *_POLICY_KEYS) if name in properties}
    )
    return CreatedResource(response["PolicyARN"], {"Arn": response["PolicyARN"]})
