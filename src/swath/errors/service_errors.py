"""The errors of AWS's services that pass by themselves."""

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

# S3 answers with a status of 400 when it lost patience with a sender, and services that speak JSON
# when they are asked too often, each in its own words:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList,
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_PASSING = {
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
# A host's own credentials come from a service, too, and are renewed while a process runs.
_NO_ANSWER = (
    HTTPClientError,
    ConnectionError,
    IncompleteReadError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    RetriesExceededError,
)


def passes(error: BaseException | None) -> bool:
    """Return whether the same request may succeed later.

    It was refused for its rate, the service failed, or the answer did not come or broke off. The
    client has retried by then, but for seconds only.
    """
    if isinstance(error, S3UploadFailedError):
        return passes(error.__cause__ or error.__context__)
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return (
            status == HTTPStatus.TOO_MANY_REQUESTS
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or error.response.get("Error", {}).get("Code") in _PASSING
        )
    return isinstance(error, _NO_ANSWER)


@contextmanager
def transient_errors(doing: str) -> Iterator[None]:
    """Turn errors that pass into a TransientError; others go on as they are.

    Args:
        doing: what the block does, as the message begins: "s3://bucket/key cannot be read".

    Raises:
        TransientError: the service failed in a way that passes.
    """
    try:
        yield
    except Exception as error:
        if passes(error):
            raise TransientError(f"{doing}: {error}") from error
        if isinstance(error, ClientError):
            error.add_note(doing)  # AWS's message does not name the object
        raise
