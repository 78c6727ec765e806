"""Require the permissions that AWS's services themselves need from a role.

The local cloud performs none of these actions: it has other logs, other images and no network. It
still requires the permissions: without them, the function, job or container does not start. On AWS,
some of them start but lose their logs, traces or metrics.
"""

from __future__ import annotations

from local_cloud.clients import ACCOUNT, REGION
from local_cloud.permissions.access import Access

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
_NETWORK_INTERFACE_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
_PULL_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
_LOG_DELIVERY_ACTIONS = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html#batch-iam
_BATCH_RULE = "rule/StepFunctionsGetEventsForBatchJobsRule"


def require_for_function(
    access: Access, role: str, *, logs: str, in_network: bool, traced: bool
) -> None:
    """Require what Lambda needs from a function's role; `logs` is its log group."""
    access.require(
        role, "logs:CreateLogStream", "logs:PutLogEvents", resource=_log_stream_arn(logs)
    )
    if in_network:
        access.require(role, *_NETWORK_INTERFACE_ACTIONS, resource="*")
    if traced:
        access.require(role, "xray:PutTelemetryRecords", "xray:PutTraceSegments", resource="*")


def require_for_job(access: Access, role: str, *, logs: str, repository: str) -> None:
    """Require what ECS's agent needs from the execution role of a Batch job."""
    _require_image_pull(access, role, repository)
    access.require(
        role, "logs:CreateLogStream", "logs:PutLogEvents", resource=_log_stream_arn(logs)
    )


def require_for_container(
    access: Access,
    role: str,
    *,
    logs: str,
    repository: str,
    namespace: str,
) -> None:
    """Require what SageMaker needs from a role to run a container.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    """
    _require_image_pull(access, role, repository)
    streams = ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")
    access.require(role, *(f"logs:{action}" for action in streams), resource=_log_stream_arn(logs))
    context = {"cloudwatch:namespace": namespace}
    access.require(role, "cloudwatch:PutMetricData", resource="*", context=context)


def require_for_state_machine(
    access: Access, role: str, *, definition: str, logged: bool, traced: bool
) -> None:
    """Require what Step Functions needs from a role in addition to the needs of its tasks."""
    if logged:
        access.require(role, *_LOG_DELIVERY_ACTIONS, resource="*")
    if traced:
        sampling = ("xray:GetSamplingRules", "xray:GetSamplingTargets")
        writing = ("xray:PutTelemetryRecords", "xray:PutTraceSegments")
        access.require(role, *sampling, *writing, resource="*")
    if "batch:submitJob.sync" in definition:
        actions = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
        access.require(role, *actions, resource=f"arn:aws:events:{REGION}:{ACCOUNT}:{_BATCH_RULE}")


def require_for_map_run(
    access: Access, role: str, *, machine: str, label: str, execution: str
) -> None:
    """Require what a Distributed Map needs to run, to be stopped, and to be redriven.

    https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    """
    access.require(role, "states:StartExecution", resource=machine)
    executions = machine.replace(":stateMachine:", ":execution:")
    actions = ("states:DescribeExecution", "states:StopExecution")
    access.require(role, *actions, resource=f"{executions}:{execution}")
    access.require(role, "states:RedriveExecution", resource=f"{executions}/{label}:{execution}")


def _require_image_pull(access: Access, role: str, repository: str) -> None:
    access.require(role, "ecr:GetAuthorizationToken", resource="*")
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}"
    access.require(role, *_PULL_ACTIONS, resource=arn)


def _log_stream_arn(logs: str) -> str:
    """Return the ARN of a log stream in a log group."""
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{logs}:log-stream:local"
