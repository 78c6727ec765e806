"""Translate the errors of endpoint calls into swath's: who caused them, and if a retry may help.

The codes of the errors are SageMaker's:

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
from swath.errors.service_errors import is_transient

MODEL_ERROR = "ModelError"
# Temporary errors in addition to those of every service.
_NOT_READY = {"ModelNotReadyException", "ServiceUnavailable"}
_UNKNOWN_ENDPOINT = {"ValidationError", "ValidationException"}
# Statuses of the container for which a retry may succeed.
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


@contextmanager
def calling(endpoint: str) -> Iterator[None]:
    """Translate the errors of SageMaker's runtime, raised in the block, into swath's errors.

    Args:
        endpoint: Name of the endpoint, for messages.

    Raises:
        TransientError: SageMaker or the container is busy, is not ready, gave no answer, or failed.
        InputError: The container refused the request.
        SettingsError: The endpoint does not exist, or does not accept such a request.
        botocore.exceptions.ClientError: Any other error, such as a missing permission.
    """
    try:
        yield
    except ClientError as error:
        raise _meaning(error, endpoint) from error
    except Exception as error:
        if is_transient(error):
            raise TransientError(f"the endpoint {endpoint!r} gave no answer: {error}") from error
        raise


def answered(status: int, body: str, endpoint: str) -> SwathError:
    """Return the error for an answer of the container other than 200.

    Args:
        status: HTTP status of the answer; 0 if the container gave none.
        body: Body of the answer: `{"error": …, "message": …}` if swath's container wrote it.
        endpoint: Name of the endpoint.
    """
    told = f"the endpoint {endpoint!r} answered {status}: {_reason(body)}"
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(told) if status in _LATER else InputError(told)
    return TransientError(told)


def _meaning(error: ClientError, endpoint: str) -> Exception:
    # A ModelError also holds the container's own status and message.
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code == MODEL_ERROR:
        status = int(response.get("OriginalStatusCode") or 0)
        body = response.get("OriginalMessage") or response["Error"].get("Message", "")
        return answered(status, str(body), endpoint)
    if code in _UNKNOWN_ENDPOINT:
        return SettingsError(f"the endpoint {endpoint!r}: {error}")
    if code in _NOT_READY or is_transient(error):
        return TransientError(f"the endpoint {endpoint!r}: {error}")
    return error


_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PAGE = 4000
"""Maximum number of characters of an HTML page to search for text."""


def _reason(body: str) -> str:
    try:
        told = json.loads(body)
        return f"{told['error']}: {told['message']}"
    except (ValueError, TypeError, KeyError):
        # A proxy in between answers with an HTML page; its text is the reason.
        if body.lstrip().startswith("<"):
            body = " ".join(_TAG.sub(" ", body[:_PAGE]).split())
        return body or "nothing"
