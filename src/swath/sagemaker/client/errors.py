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

MODEL_ERROR_CODE = "ModelError"
# Temporary errors in addition to those of every service.
_NOT_READY_CODES = {"ModelNotReadyException", "ServiceUnavailable"}
_UNKNOWN_ENDPOINT_CODES = {"ValidationError", "ValidationException"}
# Statuses of the container for which a retry may succeed.
_RETRYABLE_STATUSES = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}


@contextmanager
def translate_errors(endpoint: str) -> Iterator[None]:
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
        raise _translate_client_error(error, endpoint) from error
    except Exception as error:
        if is_transient(error):
            raise TransientError(f"the endpoint {endpoint!r} did not answer: {error}") from error
        raise


def error_from_response(status: int, body: str, endpoint: str) -> SwathError:
    """Return the error for an answer of the container other than 200.

    Args:
        status: HTTP status of the answer; 0 if the container gave none.
        body: Body of the answer: `{"error": …, "message": …}` if swath's container wrote it.
        endpoint: Name of the endpoint.
    """
    message = f"the endpoint {endpoint!r} answered {status}: {_extract_reason(body)}"
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(message) if status in _RETRYABLE_STATUSES else InputError(message)
    return TransientError(message)


def _translate_client_error(error: ClientError, endpoint: str) -> Exception:
    # A ModelError also holds the container's own status and message.
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code == MODEL_ERROR_CODE:
        status = int(response.get("OriginalStatusCode") or 0)
        body = response.get("OriginalMessage") or response["Error"].get("Message", "")
        return error_from_response(status, str(body), endpoint)
    if code in _UNKNOWN_ENDPOINT_CODES:
        return SettingsError(f"the endpoint {endpoint!r}: {error}")
    if code in _NOT_READY_CODES or is_transient(error):
        return TransientError(f"the endpoint {endpoint!r}: {error}")
    return error


_HTML_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MAX_PAGE_LENGTH = 4000
"""Maximum number of characters of an HTML page to search for text."""


def _extract_reason(body: str) -> str:
    try:
        error = json.loads(body)
        return f"{error['error']}: {error['message']}"
    except (ValueError, TypeError, KeyError):
        # A proxy in between answers with an HTML page; its text is the reason.
        if body.lstrip().startswith("<"):
            body = " ".join(_HTML_TAG.sub(" ", body[:_MAX_PAGE_LENGTH]).split())
        return body or "nothing"
