"""Serve asynchronous endpoints: read requests from S3, write results to S3, notify topics.

AWS: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-invoke-endpoint.html; the
messages: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html

Moto 5.2.5 writes a constant to its own bucket and notifies no topic.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local_cloud.endpoints.specification import ContainerResponse
from local_cloud.faults.kinds import RequestExpired
from local_cloud.jobs import DEFAULT_CONCURRENCY
from local_cloud.moto_patches.endpoint_invocation import (
    CUSTOM_ATTRIBUTES,
    DeployedEndpoint,
    ValidationError,
    create_role_client,
    get_endpoint,
    invoke_container,
    read_object,
)
from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

logger = logging.getLogger("local_cloud")

NAME = "asynchronous_inference"

_DEFAULT_TIMEOUT_SECONDS = 900
_HEADER_PREFIX = "X-Amzn-SageMaker-"


def apply(patcher: Patcher, services: Services) -> None:
    """Queue the request for the endpoint's process."""

    def invoke_endpoint_async(response: Any) -> tuple[str, dict[str, str]]:
        endpoint = get_endpoint(services, response, response.uri_match["EndpointName"])
        request = _AsyncRequest.from_headers(endpoint, response.headers)
        _get_queue(services, endpoint).submit(_process, services, request)
        # Moto reads the status of a response from its headers.
        headers = {"status": "202", f"{_HEADER_PREFIX}OutputLocation": request.output}
        if request.failure:
            headers[f"{_HEADER_PREFIX}FailureLocation"] = request.failure
        return json.dumps({"InferenceId": request.inference_id}), headers

    patcher.replace(SageMakerRuntimeResponse, "invoke_endpoint_async", invoke_endpoint_async)


def _now() -> str:
    now = dt.datetime.now(dt.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AsyncRequest:
    """Queued request, with the addresses of its result."""

    endpoint: DeployedEndpoint
    input: str
    output: str
    failure: str
    content_type: str
    accept: str
    attributes: str
    inference_id: str
    timeout: float
    received: str = field(default_factory=_now)

    @classmethod
    def from_headers(cls, endpoint: DeployedEndpoint, headers: Mapping[str, str]) -> _AsyncRequest:
        if endpoint.kind != "asynchronous":
            raise ValidationError(f"Endpoint {endpoint.spec.name} supports InvokeEndpoint only.")
        if not (location := headers.get(f"{_HEADER_PREFIX}InputLocation")):
            raise ValidationError("the local cloud requires an InputLocation")
        target = endpoint.asynchronous["OutputConfig"]
        name = str(uuid.uuid4())
        failures = target.get("S3FailurePath", "")
        return cls(
            endpoint=endpoint,
            input=location,
            output=f"{target['S3OutputPath'].rstrip('/')}/{name}.out",
            failure=f"{failures.rstrip('/')}/{name}-error.out" if failures else "",
            content_type=headers.get(f"{_HEADER_PREFIX}Content-Type", ""),
            accept=headers.get(f"{_HEADER_PREFIX}Accept", ""),
            attributes=headers.get(CUSTOM_ATTRIBUTES, ""),
            inference_id=headers.get(f"{_HEADER_PREFIX}Inference-Id") or str(uuid.uuid4()),
            timeout=float(
                headers.get(f"{_HEADER_PREFIX}InvocationTimeoutSeconds", _DEFAULT_TIMEOUT_SECONDS)
            ),
        )

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request to the container."""
        headers = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            CUSTOM_ATTRIBUTES: self.attributes,
            f"{_HEADER_PREFIX}Inference-Id": self.inference_id,
        }
        return {name: value for name, value in headers.items() if value}

    def message(self, status: str, **fields: Any) -> str:
        """Return the message for a topic."""
        parameters = {
            "contentType": self.content_type,
            "endpointName": self.endpoint.spec.name,
            "inputLocation": self.input,
        }
        return json.dumps(
            {
                "awsRegion": self.endpoint.region,
                "eventTime": _now(),
                "receivedTime": self.received,
                "invocationStatus": status,
                "requestParameters": {k: v for k, v in parameters.items() if v},
                **fields,
                "inferenceId": self.inference_id,
                "eventVersion": "1.0",
                "eventSource": "aws:sagemaker",
                "eventName": "InferenceResult",
            }
        )


def _get_queue(services: Services, endpoint: DeployedEndpoint) -> Any:
    client = endpoint.asynchronous.get("ClientConfig") or {}
    concurrency = int(client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY))
    return services.endpoints.queue(endpoint.spec.name, concurrency)


def _process(services: Services, request: _AsyncRequest) -> None:
    """Process one request to its end, including results and notifications."""
    try:
        if expired := services.faults.trigger(RequestExpired):
            _expire(services, request, notified=expired.notified)
            return
        try:
            body = read_object(services, request.endpoint, request.input)
            result = invoke_container(
                services, request.endpoint, body, request.headers, timeout=request.timeout
            )
        except (ServiceException, ClientError) as error:
            _fail(services, request, error)
        else:
            _complete(services, request, result)
    except Exception:
        logger.exception("an asynchronous request to %s was lost", request.endpoint.spec.name)


def _complete(services: Services, request: _AsyncRequest, result: ContainerResponse) -> None:
    headers_by_name = {name.lower(): value for name, value in result.headers.items()}
    kind = headers_by_name.get("content-type", "application/octet-stream")
    _write_object(services, request, request.output, result.body, kind)
    fields = {"contentType": kind, "outputLocation": request.output}
    _notify(
        services, request, "SuccessTopic", request.message("Completed", responseParameters=fields)
    )


def _fail(
    services: Services, request: _AsyncRequest, error: ServiceException | ClientError
) -> None:
    reason = error.message if isinstance(error, ServiceException) else str(error)
    if request.failure:
        _write_object(services, request, request.failure, reason.encode(), "text/plain")
    message = request.message("Failed", failureReason=f"ClientError: {reason}")
    _notify(services, request, "ErrorTopic", message)


def _expire(services: Services, request: _AsyncRequest, *, notified: bool) -> None:
    """Drop a request that expired in the queue."""
    if notified:
        reason = "ClientError: the request expired in the queue before it was processed"
        _notify(services, request, "ErrorTopic", request.message("Expired", failureReason=reason))


def _write_object(
    services: Services, request: _AsyncRequest, uri: str, body: bytes, kind: str
) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = create_role_client(services, request.endpoint, "s3")
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)


def _notify(services: Services, request: _AsyncRequest, topic: str, message: str) -> None:
    topics = request.endpoint.asynchronous["OutputConfig"].get("NotificationConfig") or {}
    if arn := topics.get(topic):
        create_role_client(services, request.endpoint, "sns").publish(TopicArn=arn, Message=message)
