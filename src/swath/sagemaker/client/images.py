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
from swath.sagemaker.client.errors import answered, calling
from swath.sagemaker.client.shards import runtime

Kind = Literal["real-time", "serverless", "asynchronous"]

Ask = Callable[["Endpoint", Path, threading.Event], bytes]

GEOJSON = "application/geo+json"
LIMITS: dict[Kind, int] = {
    "real-time": 25_000_000,
    "serverless": 4_000_000,
    "asynchronous": 1_000_000_000,
}
"""Maximum size of a request in bytes."""
_REMEDIES: dict[Kind, str] = {
    "real-time": "invoke an asynchronous endpoint with --async, or drop it into the stack's bucket",
    "serverless": "invoke a real-time endpoint, or an asynchronous one with --async",
    "asynchronous": "drop it into the stack's bucket, where a scene may be of any size",
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
_ATTEMPTS = 12
_FIRST_WAIT = 1.0
"""Maximum first wait in s; the wait is random, on average half of it. The maximum doubles with
each retry, up to `_LONGEST_WAIT`."""
_LONGEST_WAIT = 30.0
_LONGEST_INFERENCE = 3600
"""Timeout of an inference in s; the maximum that SageMaker allows."""
_POLL, _SLOWEST_POLL = 0.5, 10.0
_STATUS = re.compile(r"\((\d{3})\)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Endpoint to invoke, with its kind."""

    name: str
    kind: Kind
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
            raise InputError(f"there is no image at {image}")
        size, limit = image.stat().st_size, LIMITS[self.kind]
        if size > limit:
            raise InputError(
                f"{image} has {size} bytes; a {self.kind} endpoint takes {limit} at most: "
                f"{_REMEDIES[self.kind]}"
            )


def describe_endpoint(name: str) -> Endpoint:
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


def _endpoint(name: str, config: Mapping[str, Any]) -> Endpoint:
    if asynchronous := config.get("AsyncInferenceConfig"):
        answers = asynchronous["OutputConfig"].get("S3OutputPath", "")
        return Endpoint(name, "asynchronous", answers.rstrip("/").rpartition("/")[0])
    serverless = "ServerlessConfig" in config["ProductionVariants"][0]
    return Endpoint(name, "serverless" if serverless else "real-time")


def invoke_images(
    endpoint: Endpoint, images: Sequence[Path], *, at_once: int
) -> Iterator[tuple[Path, bytes | SwathError]]:
    """Invoke an endpoint for several images at once, and yield each answer as it arrives.

    Args:
        endpoint: Endpoint to invoke.
        images: Paths of the images.
        at_once: Maximum number of concurrent requests.

    Yields:
        The path of an image, with its GeoJSON or its error.
    """
    ask = _ask_later if endpoint.kind == "asynchronous" else _ask_now
    stop = threading.Event()
    with ThreadPoolExecutor(at_once, "images") as pool:
        asked: dict[Future[bytes], Path] = {
            pool.submit(_patiently, ask, endpoint, image, stop): image for image in images
        }
        try:
            for done in as_completed(asked):
                yield asked[done], _outcome(done)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _outcome(done: Future[bytes]) -> bytes | SwathError:
    try:
        return done.result()
    except SwathError as error:
        return error


def _patiently(ask: Ask, endpoint: Endpoint, image: Path, stop: threading.Event) -> bytes:
    """Invoke the endpoint, and retry with growing delays while it is busy or not ready.

    The delays are random, so that clients refused together do not retry together.
    https://docs.aws.amazon.com/general/latest/gr/api-retries.html

    tenacity checks its stop condition only after an attempt, so a stop during a delay would cost
    another request. Therefore this function has its own loop.
    """
    endpoint.check(image)
    for attempt in range(_ATTEMPTS - 1):
        try:
            return ask(endpoint, image, stop)
        except TransientError:
            longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
            if stop.wait(random.uniform(0, longest)):  # noqa: S311 (nothing secret)
                raise
    return ask(endpoint, image, stop)


def _ask_now(endpoint: Endpoint, image: Path, stop: threading.Event) -> bytes:
    del stop  # an answer takes a minute at most
    try:
        with calling(endpoint.name):
            response = runtime().invoke_endpoint(
                EndpointName=endpoint.name,
                ContentType=_media_type(image),
                Accept=GEOJSON,
                Body=image.read_bytes(),
            )
            return response["Body"].read()
    except TransientError as error:
        if isinstance(cause := error.__cause__, ClientError):
            _check_hope(int(str(cause.response.get("OriginalStatusCode") or 0)), error)
        raise


def _ask_later(endpoint: Endpoint, image: Path, stop: threading.Event) -> bytes:
    """Upload an image to the endpoint's bucket, invoke the endpoint, and wait for the answer."""
    uri = storage.join(endpoint.staging, "images", str(uuid.uuid4()), image.name)
    storage.copy(str(image), uri, content_type=_media_type(image))
    with calling(endpoint.name):
        taken = runtime().invoke_endpoint_async(
            EndpointName=endpoint.name,
            InputLocation=uri,
            ContentType=_media_type(image),
            Accept=GEOJSON,
            InvocationTimeoutSeconds=_LONGEST_INFERENCE,
        )
    wait = _POLL
    while True:
        answer = _left(endpoint, taken["OutputLocation"], taken.get("FailureLocation", ""))
        if answer is not None:
            return answer
        if stop.wait(wait):
            raise TransientError(
                f"{image} was given up; its answer will be at {taken['OutputLocation']}"
            )
        wait = min(_SLOWEST_POLL, wait * 1.5)


def _left(endpoint: Endpoint, output: str, failure: str) -> bytes | None:
    """Return the answer of an asynchronous endpoint, or raise its error; None if pending."""
    with suppress(FileNotFoundError):
        return storage.read_bytes(output)
    if not failure:
        return None
    try:
        text = storage.read_bytes(failure).decode(errors="replace")
    except FileNotFoundError:
        return None
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    error = answered(status, text, endpoint.name)
    _check_hope(status, error)
    raise error


def _check_hope(status: int, error: SwathError) -> None:
    """Raise a permanent error if the model itself failed, since a retry would fail again."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SwathError(str(error)) from error


def _media_type(image: Path) -> str:
    return _MEDIA_TYPES.get(image.suffix.lower(), "application/octet-stream")
