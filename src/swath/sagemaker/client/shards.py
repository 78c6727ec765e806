"""Having a shard inferred by a real-time or serverless endpoint, which answers while one waits."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from swath.errors import PayloadError
from swath.messages import Receipt, ShardRequest
from swath.sagemaker.client.errors import calling

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

JSON = "application/json"

ANSWER_SECONDS = 60
"""A container has this long to answer, says
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""

# AWS advises ten seconds more than the container has. Who calls tries again, and waits longer
# before it does than the client would.
_PATIENCE = Config(read_timeout=ANSWER_SECONDS + 10, retries={"total_max_attempts": 1})


@functools.cache
def runtime() -> SageMakerRuntimeClient:
    """This process's client of endpoints."""
    return boto3.client("sagemaker-runtime", config=_PATIENCE)


def invoke_endpoint(endpoint: str, request: ShardRequest) -> Receipt:
    """Have one shard inferred.

    A shard that was inferred before is answered with the receipt that it left.

    Raises:
        TransientError: the endpoint is busy or failed; the caller is to try again.
        InputError: the endpoint refused the request.
        SettingsError: there is no such endpoint.
        PayloadError: what answered is no endpoint of swath's.
    """
    with calling(endpoint):
        response = runtime().invoke_endpoint(
            EndpointName=endpoint,
            ContentType=JSON,
            Accept=JSON,
            Body=json.dumps(request.to_json()).encode(),
        )
        body = response["Body"].read()
    return read_receipt(body, endpoint)


def read_receipt(body: bytes, endpoint: str) -> Receipt:
    """The receipt in an endpoint's answer; `endpoint` gave it.

    Raises:
        PayloadError: there is none.
    """
    try:
        return Receipt.from_json(json.loads(body))
    except (ValueError, PayloadError) as error:
        raise PayloadError(f"the endpoint {endpoint!r} gave no receipt: {error}") from None
