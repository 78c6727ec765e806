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
    Endpoint,
    ValidationError,
    acting,
    deployed,
    read_object,
    send,
)
from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

logger = logging.getLogger("local_cloud")

NAME = "asynchronous_inference"

_RESPONSE_SECONDS = 900
_PREFIX = "X-Amzn-SageMaker-"


def apply(patcher: Patcher, services: Services) -> None:
    """Queue the request for the endpoint's process."""

    def invoke_endpoint_async(response: Any) -> tuple[str, dict[str, str]]:
        endpoint = deployed(services, response, response.uri_match["EndpointName"])
        request = _Request.of(endpoint, response.headers)
        _queue(services, endpoint).submit(_serve, services, request)
        # Moto reads the status of an answer from its headers.
        headers = {"status": "202", f"{_PREFIX}OutputLocation": request.output}
        if request.failure:
            headers[f"{_PREFIX}FailureLocation"] = request.failure
        return json.dumps({"InferenceId": request.inference_id}), headers

    patcher.replace(SageMakerRuntimeResponse, "invoke_endpoint_async", invoke_endpoint_async)


def _now() -> str:
    now = dt.datetime.now(dt.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """Queued request, with the addresses of its result."""

    endpoint: Endpoint
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
    def of(cls, endpoint: Endpoint, headers: Mapping[str, str]) -> _Request:
        if endpoint.kind != "asynchronous":
            raise ValidationError(f"Endpoint {endpoint.spec.name} supports InvokeEndpoint only.")
        if not (location := headers.get(f"{_PREFIX}InputLocation")):
            raise ValidationError("the local cloud requires an InputLocation")
        target = endpoint.asynchronous["OutputConfig"]
        name = str(uuid.uuid4())
        failures = target.get("S3FailurePath", "")
        return cls(
            endpoint=endpoint,
            input=location,
            output=f"{target['S3OutputPath'].rstrip('/')}/{name}.out",
            failure=f"{failures.rstrip('/')}/{name}-error.out" if failures else "",
            content_type=headers.get(f"{_PREFIX}Content-Type", ""),
            accept=headers.get(f"{_PREFIX}Accept", ""),
            attributes=headers.get(CUSTOM_ATTRIBUTES, ""),
            inference_id=headers.get(f"{_PREFIX}Inference-Id") or str(uuid.uuid4()),
            timeout=float(headers.get(f"{_PREFIX}InvocationTimeoutSeconds", _RESPONSE_SECONDS)),
        )

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request to the container."""
        named = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            CUSTOM_ATTRIBUTES: self.attributes,
            f"{_PREFIX}Inference-Id": self.inference_id,
        }
        return {name: value for name, value in named.items() if value}

    def message(self, status: str, **about: Any) -> str:
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
                **about,
                "inferenceId": self.inference_id,
                "eventVersion": "1.0",
                "eventSource": "aws:sagemaker",
                "eventName": "InferenceResult",
            }
        )


def _queue(services: Services, endpoint: Endpoint) -> Any:
    client = endpoint.asynchronous.get("ClientConfig") or {}
    concurrency = int(client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY))
    return services.endpoints.queue(endpoint.spec.name, concurrency)


def _serve(services: Services, request: _Request) -> None:
    """Process one request to its end, including results and notifications."""
    try:
        if expired := services.faults.trigger(RequestExpired):
            _expire(services, request, notified=expired.notified)
            return
        try:
            body = read_object(services, request.endpoint, request.input)
            result = send(
                services, request.endpoint, body, request.headers, timeout=request.timeout
            )
        except (ServiceException, ClientError) as error:
            _fail(services, request, error)
        else:
            _complete(services, request, result)
    except Exception:
        logger.exception("an asynchronous request to %s was lost", request.endpoint.spec.name)


def _complete(services: Services, request: _Request, result: ContainerResponse) -> None:
    given = {name.lower(): value for name, value in result.headers.items()}
    kind = given.get("content-type", "application/octet-stream")
    _write(services, request, request.output, result.body, kind)
    about = {"contentType": kind, "outputLocation": request.output}
    _tell(services, request, "SuccessTopic", request.message("Completed", responseParameters=about))


def _fail(services: Services, request: _Request, error: ServiceException | ClientError) -> None:
    reason = error.message if isinstance(error, ServiceException) else str(error)
    if request.failure:
        _write(services, request, request.failure, reason.encode(), "text/plain")
    message = request.message("Failed", failureReason=f"ClientError: {reason}")
    _tell(services, request, "ErrorTopic", message)


def _expire(services: Services, request: _Request, *, notified: bool) -> None:
    """Drop a request that expired in the queue."""
    if notified:
        reason = "ClientError: the request expired in the queue before it was processed"
        _tell(services, request, "ErrorTopic", request.message("Expired", failureReason=reason))


def _write(services: Services, request: _Request, uri: str, body: bytes, kind: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = acting(services, request.endpoint, "s3")
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)


def _tell(services: Services, request: _Request, topic: str, message: str) -> None:
    topics = request.endpoint.asynchronous["OutputConfig"].get("NotificationConfig") or {}
    if arn := topics.get(topic):
        acting(services, request.endpoint, "sns").publish(TopicArn=arn, Message=message)
