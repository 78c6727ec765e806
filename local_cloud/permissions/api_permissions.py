"""State which permissions each API call needs.

The actions, and the resource that each is checked against:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

An operation that is missing here needs the action of its own name on `*`: no narrower grant covers
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

# Action, resource, condition keys.
RequiredPermission = tuple[str, str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """API call as a service receives it.

    Attributes:
        service: Name of the service in actions, such as `states`.
        operation: Name of the operation, such as `StartExecution`.
        parameters: Parameters by their names in the API.
        machine_for_token: Function that returns the state machine of the execution that waits with
            a task token.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    account: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    machine_for_token: Callable[[str], str] = str

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of a resource in the caller's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def parameter(self, name: str) -> str:
        """Return a parameter's value; empty if it is absent."""
        return str(self.parameters.get(name) or "")


def required_permissions(request: ApiRequest) -> list[RequiredPermission]:
    """Return all permissions that a caller needs for an API call."""
    rule = _RULES.get((request.service, request.operation))
    if rule is None and request.service == "s3":
        rule = _s3
    if rule is None:
        return [(f"{request.service}:{request.operation}", "*", {})]
    return [(action, resource, context) for action, resource, context in rule(request)]


PermissionRule = Callable[[ApiRequest], Iterator[RequiredPermission]]


def _on_parameter(parameter: str, action: str = "") -> PermissionRule:
    """Check the action against an ARN in the request."""

    def rule(request: ApiRequest) -> Iterator[RequiredPermission]:
        name = action or f"{request.service}:{request.operation}"
        yield name, request.parameter(parameter) or "*", {}

    return rule


def _respond_to_task(request: ApiRequest) -> Iterator[RequiredPermission]:
    """Check a response to a task against the state machine that waits for it.

    AWS's reference names no resource for these actions, but AWS refuses callers whose policy names
    the wrong machine. A Distributed Map's child belongs to the qualified machine
    `<machine>/<label>`.
    """
    machine = request.machine_for_token(request.parameter("taskToken"))
    yield f"states:{request.operation}", machine, {}


def _list_executions(request: ApiRequest) -> Iterator[RequiredPermission]:
    """Check a list of executions against their state machine or their Map run."""
    arn = request.parameter("mapRunArn") or request.parameter("stateMachineArn")
    yield "states:ListExecutions", arn, {}


def _invoke_endpoint(request: ApiRequest) -> Iterator[RequiredPermission]:
    name = request.parameter("EndpointName")
    yield f"sagemaker:{request.operation}", request.arn("sagemaker", f"endpoint/{name}"), {}


def _execute_statement(request: ApiRequest) -> Iterator[RequiredPermission]:
    """Check SQL against the cluster, and the caller's right to the secret in the request.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.access.html
    """
    yield f"rds-data:{request.operation}", request.parameter("resourceArn"), {}
    yield "secretsmanager:GetSecretValue", request.parameter("secretArn"), {}


def _invoke_function(request: ApiRequest) -> Iterator[RequiredPermission]:
    name = unquote(request.parameter("FunctionName"))
    arn = name if name.startswith("arn:") else request.arn("lambda", f"function:{name}")
    qualifier = request.parameter("Qualifier")
    yield "lambda:InvokeFunction", f"{arn}:{qualifier}" if qualifier else arn, {}


def _submit_job(request: ApiRequest) -> Iterator[RequiredPermission]:
    for parameter, kind in (("jobQueue", "job-queue"), ("jobDefinition", "job-definition")):
        named = request.parameter(parameter)
        arn = named if named.startswith("arn:") else request.arn("batch", f"{kind}/{named}")
        yield "batch:SubmitJob", arn, {}


def _put_events(request: ApiRequest) -> Iterator[RequiredPermission]:
    for entry in request.parameters.get("Entries", ()):
        bus = entry.get("EventBusName") or "default"
        arn = bus if bus.startswith("arn:") else request.arn("events", f"event-bus/{bus}")
        yield "events:PutEvents", arn, {}


def _use_queue(request: ApiRequest) -> Iterator[RequiredPermission]:
    name = urlsplit(request.parameter("QueueUrl")).path.rpartition("/")[2]
    name = name or request.parameter("QueueName")
    yield f"sqs:{request.operation}", request.arn("sqs", name), {}


_RULES: Mapping[tuple[str, str], PermissionRule] = {
    ("batch", "SubmitJob"): _submit_job,
    ("events", "PutEvents"): _put_events,
    ("lambda", "Invoke"): _invoke_function,
    ("rds-data", "BatchExecuteStatement"): _execute_statement,
    ("rds-data", "ExecuteStatement"): _execute_statement,
    ("sagemaker", "InvokeEndpoint"): _invoke_endpoint,
    ("sagemaker", "InvokeEndpointAsync"): _invoke_endpoint,
    ("sagemaker", "InvokeEndpointWithResponseStream"): _invoke_endpoint,
    ("secretsmanager", "GetSecretValue"): _on_parameter("SecretId"),
    ("sns", "Publish"): _on_parameter("TopicArn"),
    ("sqs", "GetQueueAttributes"): _use_queue,
    ("sqs", "GetQueueUrl"): _use_queue,
    ("sqs", "SendMessage"): _use_queue,
    ("states", "DescribeExecution"): _on_parameter("executionArn"),
    ("states", "GetExecutionHistory"): _on_parameter("executionArn"),
    ("states", "ListExecutions"): _list_executions,
    ("states", "ListMapRuns"): _on_parameter("executionArn"),
    ("states", "RedriveExecution"): _on_parameter("executionArn"),
    ("states", "SendTaskFailure"): _respond_to_task,
    ("states", "SendTaskHeartbeat"): _respond_to_task,
    ("states", "SendTaskSuccess"): _respond_to_task,
    ("states", "StartExecution"): _on_parameter("stateMachineArn"),
    ("states", "StopExecution"): _on_parameter("executionArn"),
    ("sts", "AssumeRole"): _on_parameter("RoleArn"),
}

# S3's operations whose action has another name:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_S3_ACTIONS: Mapping[str, str] = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "GetObjectAttributes": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "UploadPart": "s3:PutObject",
}
# Additional actions that a header requires.
_S3_HEADERS: Mapping[str, str] = {
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
}
READ_OPERATIONS = frozenset({"GetObject", "HeadObject"})


def bucket_arn(bucket: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def object_arn(bucket: str, key: str) -> str:
    """Return the ARN of an object."""
    return f"{bucket_arn(bucket)}/{key}"


def _s3(request: ApiRequest) -> Iterator[RequiredPermission]:
    bucket, key = request.parameter("Bucket"), request.parameter("Key")
    resource = object_arn(bucket, key) if key else bucket_arn(bucket) if bucket else "*"
    headers = {name.lower(): value for name, value in request.headers.items()}
    version = "Version" if request.parameter("VersionId") else ""
    match request.operation:
        case "CopyObject" | "UploadPartCopy":
            yield from _copy_source(headers["x-amz-copy-source"])
            yield "s3:PutObject", resource, {}
        case "DeleteObjects":
            for name in _deleted_keys(request.body):
                yield "s3:DeleteObject", object_arn(bucket, name), {}
        case "GetObject" | "HeadObject":
            yield f"s3:GetObject{version}", resource, {}
        case "DeleteObject":
            yield f"s3:DeleteObject{version}", resource, {}
        case operation:
            yield _S3_ACTIONS.get(operation, f"s3:{operation}"), resource, {}
    if key:
        for name in _S3_HEADERS.keys() & headers.keys():
            yield _S3_HEADERS[name], resource, {}


def _copy_source(header: str) -> Iterator[RequiredPermission]:
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    yield f"s3:GetObject{'Version' if version else ''}", object_arn(bucket, key), {}


def _deleted_keys(body: bytes) -> Iterator[str]:
    for element in ET.fromstring(body).iter():  # noqa: S314 - from our processes
        if element.tag.rpartition("}")[2] == "Key":
            yield element.text or ""
