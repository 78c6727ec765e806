"""Explain why S3 refuses to read from a bucket of others, with the remedy."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from swath.storage.addresses import split_s3
from swath.storage.bucket_access import bucket_access, is_configured

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_WRONG_REGION_CODES = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


def describe_refusal(uri: str, error: ClientError) -> str:
    """Return why S3 refused a request, and the remedy; empty if the bucket is not one of others.

    Args:
        uri: S3 URI of the object.
        error: Refusal.
    """
    bucket, _ = split_s3(uri)
    if not is_configured(bucket):
        return ""
    code, access = error.response["Error"]["Code"], bucket_access(bucket)
    if is_forbidden(error):
        payment = (
            ""
            if access.requester_pays
            else ", or requires the reader to pay (then add ?requester_pays=true to its entry in "
            "scene_sources)"
        )
        return (
            f"{uri} is missing, may not be read{payment}: {code}; let the policy of the bucket, "
            "and that of this process's role, permit s3:GetObject"
        )
    metadata = error.response.get("ResponseMetadata", {})
    region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
    if _status(error) == HTTPStatus.MOVED_PERMANENTLY or code in _WRONG_REGION_CODES:
        return (
            f"{uri} does not lie in {access.region or 'the region of this process'} ({code}); add "
            f"?region={region or 'REGION'} to the bucket's entry in scene_sources"
        )
    return ""


def is_forbidden(error: ClientError) -> bool:
    """Return whether S3 refused a request with 403."""
    return _status(error) == HTTPStatus.FORBIDDEN


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
