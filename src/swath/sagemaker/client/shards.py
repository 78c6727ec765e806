"""Infer a shard at a real-time or serverless endpoint, which answers synchronously."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from swath.errors import PayloadError
from swath.messages import Receipt, ShardRequest
from swath.sagemaker.client.errors import translate_errors

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

JSON = "application/json"

RESPONSE_TIMEOUT_SECONDS = 60
"""Time limit in s for a container to answer:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""

# AWS advises ten seconds more than the container has. The client does not retry, since its callers
# retry with longer delays.
_CLIENT_CONFIG = Config(
    read_timeout=RESPONSE_TIMEOUT_SECONDS + 10, retries={"total_max_attempts": 1}
)


@functools.cache
def runtime_client() -> SageMakerRuntimeClient:
    """Return the SageMaker runtime client that this process shares."""
    return boto3.client("sagemaker-runtime", config=_CLIENT_CONFIG)


def invoke_endpoint(endpoint: str, request: ShardRequest) -> Receipt:
    """Infer one shard at an endpoint.

    The endpoint answers a request for a completed shard with that shard's existing receipt.

    Args:
        endpoint: Name of the endpoint.
        request: Plan and index of the shard.

    Raises:
        TransientError: The endpoint is busy or failed; the caller should retry.
        InputError: The endpoint refused the request.
        SettingsError: The endpoint does not exist.
        PayloadError: The answer is not a receipt of swath.
    """
    with translate_errors(endpoint):
        response = runtime_client().invoke_endpoint(
            EndpointName=endpoint,
            ContentType=JSON,
            Accept=JSON,
            Body=json.dumps(request.to_json()).encode(),
        )
        body = response["Body"].read()
    return read_receipt(body, endpoint)


def read_receipt(body: bytes, endpoint: str) -> Receipt:
    """Parse the receipt in an endpoint's answer.

    Args:
        body: Body of the answer.
        endpoint: Name of the endpoint, for messages.

    Raises:
        PayloadError: The body is not a receipt.
    """
    try:
        return Receipt.from_json(json.loads(body))
    except (ValueError, PayloadError) as error:
        raise PayloadError(f"the endpoint {endpoint!r} did not return a receipt: {error}") from None
