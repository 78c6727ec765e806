"""Asking an endpoint what is in images, several at once; the answers are GeoJSON.

What each kind of endpoint takes at most is checked before anything is sent:
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
"""Bytes of a request."""
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
# A serverless endpoint that starts is not ready for up to three minutes:
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
_ATTEMPTS = 12
_FIRST_WAIT = 1.0
"""s, on average half of it; twice as long each time, up to the longest."""
_LONGEST_WAIT = 30.0
_LONGEST_INFERENCE = 3600
"""s; the most that SageMaker allows."""
_POLL, _SLOWEST_POLL = 0.5, 10.0
_STATUS = re.compile(r"\((\d{3})\)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint, and what it takes."""

    name: str
    kind: Kind
    staging: str = ""
    """Of an asynchronous one: where images are put for it to read, an S3 URI."""

    def check(self, image: Path) -> None:
        """Refuse what the endpoint would refuse, before it is sent.

        Raises:
            InputError: there is no such file, or it is too large.
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
    """What an endpoint is.

    Raises:
        SettingsError: there is none of that name.
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
    """Ask for images, several at once; each answer as it comes, GeoJSON or why there is none.

    Args:
        endpoint: which is asked.
        images: their files.
        at_once: how many are under way at most.
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
    """Ask again, later and later, while the endpoint is busy or not yet there.

    The waits are drawn at random, so that those who were refused together do not come back
    together. https://docs.aws.amazon.com/general/latest/gr/api-retries.html
    The loop is written by hand: tenacity looks for a stop only after an attempt, and a stop during
    a wait would cost another request.
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
    """Put an image where the endpoint reads it, and wait for the answer."""
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
    """What an asynchronous endpoint has left at one of two addresses, if it has."""
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
    """A model that failed on an image will fail on it again: there is no use in asking."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SwathError(str(error)) from error


def _media_type(image: Path) -> str:
    return _MEDIA_TYPES.get(image.suffix.lower(), "application/octet-stream")
