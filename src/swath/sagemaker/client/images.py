"""Invoke an endpoint for images, several at once; the answers are GeoJSON.

The size limit of each kind of endpoint is checked before anything is sent:
https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html
"""

from __future__ import annotations

import random
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import InputError, SettingsError, SwathError, TransientError
from swath.sagemaker.client.errors import error_from_response, translate_errors
from swath.sagemaker.client.shards import runtime_client

EndpointKind = Literal["real-time", "serverless", "asynchronous"]

InvokeFunction = Callable[["ImageEndpoint", Path, threading.Event], bytes]

GEOJSON = "application/geo+json"
MAX_REQUEST_BYTES: dict[EndpointKind, int] = {
    "real-time": 25_000_000,
    "serverless": 4_000_000,
    "asynchronous": 1_000_000_000,
}
"""Maximum size of a request in bytes."""
_REMEDIES: dict[EndpointKind, str] = {
    "real-time": "invoke an asynchronous endpoint with --async, or put the image into the "
    "stack's bucket",
    "serverless": "invoke a real-time endpoint, or an asynchronous one with --async",
    "asynchronous": "put the image into the stack's bucket, which takes scenes of any size",
}
_MEDIA_TYPES = {
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".npy": "application/x-npy",
}
# A serverless endpoint may need up to three minutes to start:
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
_MAX_ATTEMPTS = 12
_INITIAL_WAIT_SECONDS = 1.0
"""Maximum first wait in s; the wait is random, on average half of it.

Each retry multiplies the maximum by 2, up to `_MAX_WAIT_SECONDS`.
"""
_MAX_WAIT_SECONDS = 30.0
_INFERENCE_TIMEOUT_SECONDS = 3600
"""Timeout of an inference in s; the maximum that SageMaker allows."""
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.5, 10.0
_STATUS = re.compile(r"\((\d{3})\)")


@dataclass(frozen=True, slots=True)
class ImageEndpoint:
    """Endpoint to invoke, with its kind."""

    name: str
    kind: EndpointKind
    staging: str = ""
    """S3 URI of an asynchronous endpoint's bucket, below which images are uploaded for it."""

    def check(self, image: Path) -> None:
        """Refuse images that the endpoint would refuse, before they are sent.

        Args:
            image: Path of the image.

        Raises:
            InputError: The file does not exist, or is too large.
        """
        if not image.is_file():
            raise InputError(f"there is no image at {image}; check the path")
        size, limit = image.stat().st_size, MAX_REQUEST_BYTES[self.kind]
        if size > limit:
            raise InputError(
                f"{image} has {size} bytes; a {self.kind} endpoint takes {limit} at most; "
                f"{_REMEDIES[self.kind]}"
            )


def describe_endpoint(name: str) -> ImageEndpoint:
    """Return the kind of an endpoint, and the staging URI of an asynchronous one.

    Args:
        name: Name of the endpoint.

    Raises:
        SettingsError: The endpoint does not exist.
    """
    sagemaker = boto3.client("sagemaker")
    try:
        described = sagemaker.describe_endpoint(EndpointName=name)
        config = sagemaker.describe_endpoint_config(
            EndpointConfigName=described["EndpointConfigName"]
        )
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("Validation"):
            raise SettingsError(
                f"there is no endpoint {name!r} in this account and region: {error}; the "
                "outputs of the stack name its endpoints"
            ) from error
        raise
    return _endpoint(name, dict(config))


def _endpoint(name: str, config: Mapping[str, Any]) -> ImageEndpoint:
    if asynchronous := config.get("AsyncInferenceConfig"):
        answers = asynchronous["OutputConfig"].get("S3OutputPath", "")
        return ImageEndpoint(name, "asynchronous", answers.rstrip("/").rpartition("/")[0])
    serverless = "ServerlessConfig" in config["ProductionVariants"][0]
    return ImageEndpoint(name, "serverless" if serverless else "real-time")


def invoke_images(
    endpoint: ImageEndpoint, images: Sequence[Path], *, max_concurrent: int
) -> Iterator[tuple[Path, bytes | SwathError]]:
    """Invoke an endpoint for several images at once, and yield each answer as it arrives.

    Args:
        endpoint: Endpoint to invoke.
        images: Paths of the images.
        max_concurrent: Maximum number of concurrent requests.

    Yields:
        The path of an image, with its GeoJSON or its error.
    """
    invoke = _invoke_async if endpoint.kind == "asynchronous" else _invoke_sync
    stop = threading.Event()
    with ThreadPoolExecutor(max_concurrent, "images") as pool:
        image_by_future: dict[Future[bytes], Path] = {
            pool.submit(_invoke_with_retries, invoke, endpoint, image, stop): image
            for image in images
        }
        try:
            for done in as_completed(image_by_future):
                yield image_by_future[done], _result_or_error(done)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _result_or_error(done: Future[bytes]) -> bytes | SwathError:
    try:
        return done.result()
    except SwathError as error:
        return error


def _invoke_with_retries(
    invoke: InvokeFunction, endpoint: ImageEndpoint, image: Path, stop: threading.Event
) -> bytes:
    """Invoke the endpoint, and retry with growing delays while it is busy or not ready.

    The delays are random, so that clients refused together do not retry together.
    https://docs.aws.amazon.com/general/latest/gr/api-retries.html

    tenacity checks its stop condition only after an attempt, so a stop during a delay would cost
    another request. Therefore this function has its own loop.
    """
    endpoint.check(image)
    for attempt in range(_MAX_ATTEMPTS - 1):
        try:
            return invoke(endpoint, image, stop)
        except TransientError:
            max_wait = min(_MAX_WAIT_SECONDS, _INITIAL_WAIT_SECONDS * 2**attempt)
            if stop.wait(random.uniform(0, max_wait)):  # noqa: S311 (nothing secret)
                raise
    return invoke(endpoint, image, stop)


def _invoke_sync(endpoint: ImageEndpoint, image: Path, stop: threading.Event) -> bytes:
    del stop  # an answer takes a minute at most
    try:
        with translate_errors(endpoint.name):
            response = runtime_client().invoke_endpoint(
                EndpointName=endpoint.name,
                ContentType=_media_type(image),
                Accept=GEOJSON,
                Body=image.read_bytes(),
            )
            return response["Body"].read()
    except TransientError as error:
        if isinstance(cause := error.__cause__, ClientError):
            _raise_if_model_failed(int(str(cause.response.get("OriginalStatusCode") or 0)), error)
        raise


def _invoke_async(endpoint: ImageEndpoint, image: Path, stop: threading.Event) -> bytes:
    """Upload an image to the endpoint's bucket, invoke the endpoint, and wait for the answer."""
    uri = storage.join(endpoint.staging, "images", str(uuid.uuid4()), image.name)
    storage.copy(str(image), uri, content_type=_media_type(image))
    with translate_errors(endpoint.name):
        response = runtime_client().invoke_endpoint_async(
            EndpointName=endpoint.name,
            InputLocation=uri,
            ContentType=_media_type(image),
            Accept=GEOJSON,
            InvocationTimeoutSeconds=_INFERENCE_TIMEOUT_SECONDS,
        )
    wait = _MIN_POLL_SECONDS
    while True:
        answer = _read_output(
            endpoint, response["OutputLocation"], response.get("FailureLocation", "")
        )
        if answer is not None:
            return answer
        if stop.wait(wait):
            raise TransientError(
                f"stopped waiting for {image}; its result will be at {response['OutputLocation']}"
            )
        wait = min(_MAX_POLL_SECONDS, wait * 1.5)


def _read_output(endpoint: ImageEndpoint, output: str, failure: str) -> bytes | None:
    """Return the answer of an asynchronous endpoint, or raise its error; None if pending."""
    with suppress(FileNotFoundError):
        return storage.read_bytes(output)
    if not failure:
        return None
    try:
        text = storage.read_bytes(failure).decode(errors="replace")
    except FileNotFoundError:
        return None
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    error = error_from_response(status, text, endpoint.name)
    _raise_if_model_failed(status, error)
    raise error


def _raise_if_model_failed(status: int, error: SwathError) -> None:
    """Raise a permanent error if the model itself failed, since a retry would fail again."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SwathError(str(error)) from error


def _media_type(image: Path) -> str:
    return _MEDIA_TYPES.get(image.suffix.lower(), "application/octet-stream")
