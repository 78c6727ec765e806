"""Describe errors of AWS and of its SDK, with a remedy for the usual ones."""

from __future__ import annotations

import re

from boto3.exceptions import Boto3Error
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

AwsError = (BotoCoreError, ClientError, Boto3Error)

_QUOTAS_URL = "https://console.aws.amazon.com/servicequotas/home"
_NO_CREDENTIALS = (
    "sign in with `aws login` or `aws configure`, or set AWS_PROFILE to a profile with credentials"
)
_EXPIRED = "sign in again (`aws login`, `aws sso login`, or new temporary credentials)"
_THROTTLED = "AWS throttles the requests; try again in a minute"
_UNREACHABLE = "check the network and the region (AWS_REGION)"

_REMEDIES_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        _EXPIRED,
    ),
    **dict.fromkeys(
        ("500", "503", "InternalError", "InternalFailure", "ServiceUnavailable"),
        "the service is failing; try again in a minute",
    ),
    # The response to a HEAD request has no body with an error code.
    "400": f"the credentials may have expired: {_EXPIRED}",
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        f"the credentials are not valid: {_NO_CREDENTIALS}",
    ),
    **dict.fromkeys(
        (
            "LimitExceededException",
            "RequestLimitExceeded",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        _THROTTLED,
    ),
}
_DENIED_CODES = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_QUOTA_CODES = {"ResourceLimitExceeded", "ServiceQuotaExceededException"}
_QUOTA_NAME = re.compile(r"service limit '([^']+)'")
_REMEDIES_BY_CLASS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.ProfileNotFound,
            exceptions.CredentialRetrievalError,
        ),
        _NO_CREDENTIALS,
    ),
    (
        (
            exceptions.SSOError,
            exceptions.TokenRetrievalError,
            exceptions.LoginError,
            exceptions.RefreshWithMFAUnsupportedError,
        ),
        _EXPIRED,
    ),
    ((exceptions.NoRegionError,), "set AWS_REGION to the region, such as eu-central-1"),
    ((exceptions.HTTPClientError, exceptions.ConnectionError), _UNREACHABLE),
)


def is_aws_error(error: Exception) -> bool:
    """Return whether AWS or its SDK raised an error."""
    return isinstance(error, AwsError) or _is_invalid_endpoint(error)


def describe_aws_error(error: Exception) -> str:
    """Return the message of AWS or its SDK in one line, with a remedy for the usual errors.

    Notes of the error, such as the object that was read, come first.
    """
    context = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    if _is_invalid_endpoint(error):
        return f"{context}{error}; set AWS_ENDPOINT_URL to a URL, such as http://127.0.0.1:4566"
    cause = _service_error(error)
    if cause is None:
        return _join(f"{context}{error}", _class_remedy(error))
    code = cause.response.get("Error", {}).get("Code", "Unknown")
    message = cause.response.get("Error", {}).get("Message") or "no reason given"
    text = f"{context}AWS refused {cause.operation_name}: {code}: {message}"
    return _join(text, _code_remedy(code, message, cause.operation_name))


def _is_invalid_endpoint(error: Exception) -> bool:
    # botocore raises no class of its own for this error.
    return isinstance(error, ValueError) and str(error).startswith("Invalid endpoint")


def with_remedy(text: str, error: BaseException) -> str:
    """Add the remedy for an error of AWS or of its SDK, if any, to a sentence about it."""
    cause = _service_error(error)
    if cause is None:
        return _join(text, _class_remedy(error))
    details = cause.response.get("Error", {})
    code, message = details.get("Code", "Unknown"), details.get("Message") or ""
    return _join(text, _code_remedy(code, message, cause.operation_name))


def _service_error(error: BaseException | None) -> ClientError | None:
    """Return the service's error that the error is, or that caused it; None if there is none."""
    # boto3's transfers raise their own errors while they handle those of the service.
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__ or error.__context__
    return error


def _class_remedy(error: BaseException) -> str:
    return next((remedy for kinds, remedy in _REMEDIES_BY_CLASS if isinstance(error, kinds)), "")


def _code_remedy(code: str, message: str, operation: str) -> str:
    if code in _DENIED_CODES:
        return f"ask the administrator of the account to permit {operation}"
    if code in _QUOTA_CODES:
        named = _QUOTA_NAME.search(message)
        quota = f"the quota {named[1]!r}" if named else "a higher quota"
        return f"ask for {quota} at {_QUOTAS_URL}, in the same region"
    return _REMEDIES_BY_CODE.get(code, "")


def _join(text: str, remedy: str) -> str:
    line = " ".join(text.split())
    return f"{line.rstrip('.')}; {remedy}" if remedy else line
