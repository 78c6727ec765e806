from __future__ import annotations

import ast
from pathlib import Path

import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import TransientError
from swath.errors.service_errors import is_transient, translate_transient_errors


def refused(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


@pytest.mark.parametrize(
    ("code", "status", "later"),
    [
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("503", 503, True),
        ("TooManyRequestsException", 429, True),
        ("RequestTimeout", 400, True),
        ("ThrottlingException", 400, True),
        ("RequestLimitExceeded", 400, True),
        ("AccessDenied", 403, False),
        ("NoSuchBucket", 404, False),
        ("PreconditionFailed", 412, False),
        ("ExpiredToken", 400, False),
    ],
)
def test_a_refusal_passes_if_it_is_for_the_rate_or_the_services_own_fault(
    code: str, status: int, later: bool
):
    assert is_transient(refused(code, status)) is later


@given(status=st.integers(100, 599))
def test_whatever_a_service_calls_it_its_status_tells(status: int):
    assert is_transient(refused("Any", status)) is (status == 429 or status >= 500)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://s3"),
        ConnectionClosedError(endpoint_url="https://s3"),
        ReadTimeoutError(endpoint_url="https://s3"),
        ResponseStreamingError(error="broken off"),
        CredentialRetrievalError(provider="container-role", error_msg="no answer"),
        MetadataRetrievalError(error_msg="no answer"),
        IncompleteReadError(actual_bytes=5, expected_bytes=10),
        RetriesExceededError(OSError("broken off")),
    ],
)
def test_an_answer_that_did_not_come_passes(error: BotoCoreError):
    assert is_transient(error)


def test_what_is_wrong_with_the_caller_does_not_pass():
    assert not is_transient(NoCredentialsError())
    assert not is_transient(ValueError())
    assert not is_transient(None)


@pytest.mark.parametrize(("status", "later"), [(503, True), (403, False)])
def test_a_failed_upload_is_what_s3_said(status: int, later: bool):
    error = S3UploadFailedError("Failed to upload")
    # boto3 raises it while it handles S3's response.
    error.__context__ = refused("Any", status)

    assert is_transient(error) is later


def test_an_error_that_passes_becomes_a_transient_one_that_says_what_was_done():
    with (
        pytest.raises(TransientError, match=r"s3://b/k cannot be read: .*SlowDown"),
        translate_transient_errors("s3://b/k cannot be read"),
    ):
        raise refused("SlowDown", 503)


def test_other_errors_stay_as_they_are():
    error = refused("AccessDenied", 403)
    with pytest.raises(ClientError) as caught, translate_transient_errors("any"):
        raise error

    assert caught.value is error


ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("src", "lambdas", "batch_jobs", "sagemaker_jobs")
ELSEWHERE = {
    # A command's remedies depend on the class of the error.
    "src/swath/cli/aws_errors.py": {"*", "Boto3Error", "BotoCoreError"},
    # If the price list is unavailable for any reason, the user gives the price.
    "src/swath/sagemaker/jobs/costs.py": {"BotoCoreError"},
    # If nothing states the region of a bucket, the forecast has no transfer.
    "src/swath/pipeline/forecast/inputs.py": {"BotoCoreError"},
    # If a scene cannot be read for any reason, the export states it without a size.
    "src/swath/exports/text_formats.py": {"BotoCoreError"},
    # If nobody knows whether the scene was replaced, another attempt may succeed.
    "src/swath/raster/gdal_errors.py": {"BotoCoreError"},
    # Other errors of AWS's SDK are no fault of the request.
    "sagemaker_jobs/serve_model/app.py": {"BotoCoreError"},
}
"""Other modules that distinguish errors besides refusals, and the errors."""


def told_apart(path: Path) -> set[str]:
    """Return the errors of AWS's SDK that a module names, without ClientError."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = set()
    for node in nodes:
        module = getattr(node, "module", None) or ""
        names = {alias.name for alias in node.names}
        if module in {"botocore.exceptions", "boto3.exceptions", "botocore.vendored"}:
            found |= names
        elif (module in {"botocore", "boto3"} and "exceptions" in names) or any(
            name.startswith(("botocore.exceptions", "boto3.exceptions")) for name in names
        ):
            found.add("*")
    return found - {"ClientError"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_passes_is_told_in_one_place(package: str):
    """Check that each service's refusals are handled by their codes in the module that calls it."""
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name != "src/swath/errors/service_errors.py":
            assert told_apart(path) <= ELSEWHERE.get(name, set()), name


def test_each_exception_to_that_is_one():
    for name, errors in ELSEWHERE.items():
        assert told_apart(ROOT / name) == errors, name
    assert told_apart(ROOT / "src/swath/errors/service_errors.py")
