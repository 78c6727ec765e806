"""Errors of AWS and of its SDK in words: what was refused, and what to do about it."""

from __future__ import annotations

import re

from boto3.exceptions import Boto3Error
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

AwsError = (BotoCoreError, ClientError, Boto3Error)

_QUOTAS = "https://console.aws.amazon.com/servicequotas/home"
_NO_CREDENTIALS = (
    "sign in with `aws login` or `aws configure`, or name a profile that has credentials by "
    "AWS_PROFILE"
)
_EXPIRED = "sign in again (`aws login`, `aws sso login`, or new temporary credentials)"
_WAIT = "AWS limits how often it is asked; try again in a minute"
_UNREACHABLE = "check the network and the name of the region (AWS_REGION)"

_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        _EXPIRED,
    ),
    **dict.fromkeys(
        ("500", "503", "InternalError", "InternalFailure", "ServiceUnavailable"),
        "the service fails at the moment; try again in a minute",
    ),
    # The answer to a HEAD request has no body that would say more.
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
        _WAIT,
    ),
}
_DENIED = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_LIMITS = {"ResourceLimitExceeded", "ServiceQuotaExceededException"}
_QUOTA_NAME = re.compile(r"service limit '([^']+)'")
_BY_CLASS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
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
    ((exceptions.NoRegionError,), "name the region by AWS_REGION, for instance eu-central-1"),
    ((exceptions.HTTPClientError, exceptions.ConnectionError), _UNREACHABLE),
)


def is_of_aws(error: Exception) -> bool:
    """Return whether AWS or its SDK raised an error."""
    return isinstance(error, AwsError) or _is_bad_endpoint(error)


def explain(error: Exception) -> str:
    """Return what AWS or its SDK said, and a remedy for the usual errors, in one line.

    Notes of the error, such as the object that was read, come first.
    """
    doing = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    if _is_bad_endpoint(error):
        return f"{doing}{error}; check AWS_ENDPOINT_URL: it is a URL, as http://127.0.0.1:4566"
    answer = _answer(error)
    if answer is None:
        return _joined(f"{doing}{error}", _remedy_of_class(error))
    code = answer.response.get("Error", {}).get("Code", "Unknown")
    message = answer.response.get("Error", {}).get("Message") or "no reason given"
    text = f"{doing}AWS refused {answer.operation_name}: {code}: {message}"
    return _joined(text, _remedy_of_code(code, message, answer.operation_name))


def _is_bad_endpoint(error: Exception) -> bool:
    # botocore has no class of its own for it.
    return isinstance(error, ValueError) and str(error).startswith("Invalid endpoint")


def with_remedy(text: str, error: BaseException) -> str:
    """Return a sentence about an error of AWS or of its SDK with the remedy for it, if any."""
    answer = _answer(error)
    if answer is None:
        return _joined(text, _remedy_of_class(error))
    found = answer.response.get("Error", {})
    code, message = found.get("Code", "Unknown"), found.get("Message") or ""
    return _joined(text, _remedy_of_code(code, message, answer.operation_name))


def _answer(error: BaseException | None) -> ClientError | None:
    """Return the response of a service that is the error, or that led to it."""
    # boto3's transfers raise errors of their own while they handle the service's.
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__ or error.__context__
    return error


def _remedy_of_class(error: BaseException) -> str:
    return next((remedy for kinds, remedy in _BY_CLASS if isinstance(error, kinds)), "")


def _remedy_of_code(code: str, message: str, operation: str) -> str:
    if code in _DENIED:
        return f"whoever administers the account can permit {operation} to you"
    if code in _LIMITS:
        named = _QUOTA_NAME.search(message)
        quota = f"the quota {named[1]!r}" if named else "a higher quota"
        return f"ask for {quota} at {_QUOTAS}, in the same region"
    return _BY_CODE.get(code, "")


def _joined(text: str, remedy: str) -> str:
    line = " ".join(text.split())
    return f"{line.rstrip('.')}; {remedy}" if remedy else line
