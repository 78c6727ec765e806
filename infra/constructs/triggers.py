"""Run functions while the stack is deployed, by the CDK's own provider."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk.aws_lambda import Function
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.triggers import Trigger
from constructs import Construct

# One minute less than the provider's own timeout.
_TIMEOUT = Duration.minutes(14)
_PROVIDER = "AWSCDK.TriggerCustomResourceProviderCustomResourceProvider"


def run_on_change(
    scope: Construct, construct_id: str, *, function: Function, **options: Any
) -> Trigger:
    """Run a function at the first deployment, and at each deployment that changes the function.

    The CDK's provider calls the published version. Lambda deactivates a version that was not called
    for weeks, and refuses its next call, which the provider does not retry. A rollback calls the
    previous version, so it would end in UPDATE_ROLLBACK_FAILED. Therefore the provider gets
    $LATEST, which the rollback has just updated; the property `Version` indicates a change.

    Args:
        scope: Parent of the trigger.
        construct_id: Id of the trigger.
        function: Function to run.
        options: Options `execute_after` and `execute_before` of the trigger.

    Returns:
        The trigger.
    """
    trigger = Trigger(scope, construct_id, handler=function, timeout=_TIMEOUT, **options)
    resource = _as_cfn_resource(trigger.node.find_child("Default").node.default_child)
    resource.add_property_override("HandlerArn", f"{function.function_arn}:$LATEST")
    resource.add_property_override("Version", function.current_version.version)
    return trigger


def log_triggers(scope: Construct, *, log_retention: RetentionDays) -> None:
    """Give the CDK's provider a log group in the scope, instead of one that never expires."""
    provider = Stack.of(scope).node.find_child(_PROVIDER)
    logs = LogGroup(
        scope, "TriggersLogs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
    )
    _as_cfn_resource(provider.node.find_child("Handler")).add_property_override(
        "LoggingConfig.LogGroup", logs.log_group_name
    )


def _as_cfn_resource(construct: Any) -> CfnResource:
    assert isinstance(construct, CfnResource)  # noqa: S101 - narrows the type
    return construct
