"""Recognize transient errors of AWS services, and translate them into TransientError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)

from swath.errors import TransientError

# S3 returns status 400 when a sender's request times out. Services with a JSON protocol return 400
# when they throttle, each with an error code of its own:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList,
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_TRANSIENT_CODES = {
    "RequestTimeout",
    "RequestTimeoutException",
    "PriorRequestNotComplete",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "EC2ThrottledException",
}
# A host's credentials also come from a service, which renews them while a process runs.
_CONNECTION_ERRORS = (
    HTTPClientError,
    ConnectionError,
    IncompleteReadError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    RetriesExceededError,
)


def is_transient(error: BaseException | None) -> bool:
    """Return whether the same request may succeed later.

    That is so if the service throttled the request or failed, or if its response was missing or
    incomplete. The client has already retried by then, but only for seconds.
    """
    if isinstance(error, S3UploadFailedError):
        return is_transient(error.__cause__ or error.__context__)
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return (
            status == HTTPStatus.TOO_MANY_REQUESTS
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or error.response.get("Error", {}).get("Code") in _TRANSIENT_CODES
        )
    return isinstance(error, _CONNECTION_ERRORS)


@contextmanager
def translate_transient_errors(context: str) -> Iterator[None]:
    """Translate transient errors within the block into TransientError; re-raise other errors.

    Args:
        context: Beginning of the error message, such as "s3://bucket/key cannot be read".

    Raises:
        TransientError: The service failed, and a retry can succeed.
    """
    try:
        yield
    except Exception as error:
        if is_transient(error):
            raise TransientError(f"{context}: {error}") from error
        if isinstance(error, ClientError):
            error.add_note(context)  # AWS's message does not name the object
        raise
