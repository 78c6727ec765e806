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
Need = tuple[str, str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """API call as a service receives it.

    Attributes:
        service: Name of the service in actions, such as `states`.
        operation: Name of the operation, such as `StartExecution`.
        parameters: Parameters by their names in the API.
        machine_of: Function that returns the state machine of the execution that waits with a task
            token.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    account: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    machine_of: Callable[[str], str] = str

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of a resource in the caller's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def parameter(self, name: str) -> str:
        """Return a parameter's value; empty if it is absent."""
        return str(self.parameters.get(name) or "")


def needs(request: Request) -> list[Need]:
    """Return all permissions that a caller needs for an API call."""
    find = _NEEDS.get((request.service, request.operation))
    if find is None and request.service == "s3":
        find = _s3
    if find is None:
        return [(f"{request.service}:{request.operation}", "*", {})]
    return [(action, resource, context) for action, resource, context in find(request)]


Finder = Callable[[Request], Iterator[Need]]


def _of(parameter: str, action: str = "") -> Finder:
    """Check the action against an ARN in the request."""

    def find(request: Request) -> Iterator[Need]:
        name = action or f"{request.service}:{request.operation}"
        yield name, request.parameter(parameter) or "*", {}

    return find


def _task(request: Request) -> Iterator[Need]:
    """Check an answer to a task against the state machine that waits for it.

    AWS's reference names no resource for these actions, but AWS refuses callers whose policy names
    the wrong machine. A Distributed Map's child belongs to the qualified machine
    `<machine>/<label>`.
    """
    machine = request.machine_of(request.parameter("taskToken"))
    yield f"states:{request.operation}", machine, {}


def _listed(request: Request) -> Iterator[Need]:
    """Check a list of executions against their state machine or their Map run."""
    arn = request.parameter("mapRunArn") or request.parameter("stateMachineArn")
    yield "states:ListExecutions", arn, {}


def _endpoint(request: Request) -> Iterator[Need]:
    name = request.parameter("EndpointName")
    yield f"sagemaker:{request.operation}", request.arn("sagemaker", f"endpoint/{name}"), {}


def _statement(request: Request) -> Iterator[Need]:
    """Check SQL against the cluster, and the caller's right to the secret in the request.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.access.html
    """
    yield f"rds-data:{request.operation}", request.parameter("resourceArn"), {}
    yield "secretsmanager:GetSecretValue", request.parameter("secretArn"), {}


def _function(request: Request) -> Iterator[Need]:
    name = unquote(request.parameter("FunctionName"))
    arn = name if name.startswith("arn:") else request.arn("lambda", f"function:{name}")
    qualifier = request.parameter("Qualifier")
    yield "lambda:InvokeFunction", f"{arn}:{qualifier}" if qualifier else arn, {}


def _job(request: Request) -> Iterator[Need]:
    for parameter, kind in (("jobQueue", "job-queue"), ("jobDefinition", "job-definition")):
        named = request.parameter(parameter)
        arn = named if named.startswith("arn:") else request.arn("batch", f"{kind}/{named}")
        yield "batch:SubmitJob", arn, {}


def _events(request: Request) -> Iterator[Need]:
    for entry in request.parameters.get("Entries", ()):
        bus = entry.get("EventBusName") or "default"
        arn = bus if bus.startswith("arn:") else request.arn("events", f"event-bus/{bus}")
        yield "events:PutEvents", arn, {}


def _queue(request: Request) -> Iterator[Need]:
    name = urlsplit(request.parameter("QueueUrl")).path.rpartition("/")[2]
    name = name or request.parameter("QueueName")
    yield f"sqs:{request.operation}", request.arn("sqs", name), {}


_NEEDS: Mapping[tuple[str, str], Finder] = {
    ("batch", "SubmitJob"): _job,
    ("events", "PutEvents"): _events,
    ("lambda", "Invoke"): _function,
    ("rds-data", "BatchExecuteStatement"): _statement,
    ("rds-data", "ExecuteStatement"): _statement,
    ("sagemaker", "InvokeEndpoint"): _endpoint,
    ("sagemaker", "InvokeEndpointAsync"): _endpoint,
    ("sagemaker", "InvokeEndpointWithResponseStream"): _endpoint,
    ("secretsmanager", "GetSecretValue"): _of("SecretId"),
    ("sns", "Publish"): _of("TopicArn"),
    ("sqs", "GetQueueAttributes"): _queue,
    ("sqs", "GetQueueUrl"): _queue,
    ("sqs", "SendMessage"): _queue,
    ("states", "DescribeExecution"): _of("executionArn"),
    ("states", "GetExecutionHistory"): _of("executionArn"),
    ("states", "ListExecutions"): _listed,
    ("states", "ListMapRuns"): _of("executionArn"),
    ("states", "RedriveExecution"): _of("executionArn"),
    ("states", "SendTaskFailure"): _task,
    ("states", "SendTaskHeartbeat"): _task,
    ("states", "SendTaskSuccess"): _task,
    ("states", "StartExecution"): _of("stateMachineArn"),
    ("states", "StopExecution"): _of("executionArn"),
    ("sts", "AssumeRole"): _of("RoleArn"),
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
READS = frozenset({"GetObject", "HeadObject"})


def bucket_arn(bucket: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def object_arn(bucket: str, key: str) -> str:
    """Return the ARN of an object."""
    return f"{bucket_arn(bucket)}/{key}"


def _s3(request: Request) -> Iterator[Need]:
    bucket, key = request.parameter("Bucket"), request.parameter("Key")
    resource = object_arn(bucket, key) if key else bucket_arn(bucket) if bucket else "*"
    headers = {name.lower(): value for name, value in request.headers.items()}
    version = "Version" if request.parameter("VersionId") else ""
    match request.operation:
        case "CopyObject" | "UploadPartCopy":
            yield from _source(headers["x-amz-copy-source"])
            yield "s3:PutObject", resource, {}
        case "DeleteObjects":
            for name in _keys(request.body):
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


def _source(header: str) -> Iterator[Need]:
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    yield f"s3:GetObject{'Version' if version else ''}", object_arn(bucket, key), {}


def _keys(body: bytes) -> Iterator[str]:
    for element in ET.fromstring(body).iter():  # noqa: S314 - from our processes
        if element.tag.rpartition("}")[2] == "Key":
            yield element.text or ""
