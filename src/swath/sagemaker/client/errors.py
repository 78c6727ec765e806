"""What a failed call of an endpoint means: whose fault it is, and whether trying again can help.

The names of the errors are SageMaker's:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from swath.errors import InputError, SettingsError, SwathError, TransientError
from swath.errors.service_errors import passes

MODEL_ERROR = "ModelError"
# Beside what passes with every service.
_NOT_READY = {"ModelNotReadyException", "ServiceUnavailable"}
_UNKNOWN_ENDPOINT = {"ValidationError", "ValidationException"}
# Refusals by the container that another attempt may not meet.
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


@contextmanager
def calling(endpoint: str) -> Iterator[None]:
    """Around a call of SageMaker's runtime: its errors are swath's.

    Raises:
        TransientError: SageMaker or the container is busy, is not ready, gave no answer, or failed.
        InputError: the container refused the request.
        SettingsError: there is no such endpoint, or the request is not one for it.
        botocore.exceptions.ClientError: anything else, such as a permission that is lacking.
    """
    try:
        yield
    except ClientError as error:
        raise _meaning(error, endpoint) from error
    except Exception as error:
        if passes(error):
            raise TransientError(f"the endpoint {endpoint!r} gave no answer: {error}") from error
        raise


def answered(status: int, body: str, endpoint: str) -> SwathError:
    """The error behind an answer of the container that is not 200.

    Args:
        status: of the answer; 0 where the container gave none.
        body: of the answer: `{"error": …, "message": …}` if it is swath's own.
        endpoint: its name.
    """
    told = f"the endpoint {endpoint!r} answered {status}: {_reason(body)}"
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(told) if status in _LATER else InputError(told)
    return TransientError(told)


def _meaning(error: ClientError, endpoint: str) -> Exception:
    # Beside what every service answers, a ModelError has what the container did.
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code == MODEL_ERROR:
        status = int(response.get("OriginalStatusCode") or 0)
        body = response.get("OriginalMessage") or response["Error"].get("Message", "")
        return answered(status, str(body), endpoint)
    if code in _UNKNOWN_ENDPOINT:
        return SettingsError(f"the endpoint {endpoint!r}: {error}")
    if code in _NOT_READY or passes(error):
        return TransientError(f"the endpoint {endpoint!r}: {error}")
    return error


_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PAGE = 4000
"""How many letters of a page are looked at."""


def _reason(body: str) -> str:
    try:
        told = json.loads(body)
        return f"{told['error']}: {told['message']}"
    except (ValueError, TypeError, KeyError):
        # A proxy between answers with a page; its text is what it says.
        if body.lstrip().startswith("<"):
            body = " ".join(_TAG.sub(" ", body[:_PAGE]).split())
        return body or "nothing"
