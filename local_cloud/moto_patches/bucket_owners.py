"""Refuse reads of buckets whose readers pay, unless they offer to, and reads in another region.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html, and
PermanentRedirect in https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html

Moto 5.2.5 ignores the header `x-amz-request-payer` and the region that a request is signed for, and
lacks PutBucketRequestPayment. This cloud has one account: its administrator owns the buckets, and
roles are their readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree as ET

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import s3_backends

from local_cloud.clients import ACCOUNT, ADMINISTRATOR_CREDENTIALS
from local_cloud.moto_patches.access_control import StartResponse
from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.refusals import format_refusal
from local_cloud.permissions.requests import CredentialScope, Environ
from local_cloud.services import Services

NAME = "bucket_owners"


def apply(patcher: Patcher, services: Services) -> None:
    """Check the payer and the region of each request of a role to a bucket."""
    payers: set[str] = set()

    def call(dispatcher: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        scope = CredentialScope.from_environ(environ)
        bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
        if scope.service == "s3" and bucket:
            if not key and "requestPayment" in parse_qs(environ["QUERY_STRING"], True):
                return _set_payer(payers, bucket, environ, start_response)
            is_owner = scope.key == ADMINISTRATOR_CREDENTIALS[0]
            if not is_owner and (refusal := _refuse(bucket, bucket in payers, environ, scope)):
                status, headers, body = refusal
                start_response(status, headers)
                return [body]
        response: Iterable[bytes] = original(dispatcher, environ, start_response)
        return response

    original = patcher.replace(DomainDispatcherApplication, "__call__", call)


def _set_payer(
    payers: set[str], bucket: str, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    document = ET.fromstring(content)  # noqa: S314 - from our processes
    payer = next((e.text for e in document.iter() if e.tag.rpartition("}")[2] == "Payer"), "")
    (payers.add if payer == "Requester" else payers.discard)(bucket)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def _refuse(
    bucket: str, readers_pay: bool, environ: Environ, scope: CredentialScope
) -> tuple[str, list[tuple[str, str]], bytes] | None:
    """Return S3's refusal of a request; None if it may be processed."""
    stored = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    if stored is not None and scope.region != stored.region_name:
        _, headers, body = format_refusal(
            environ,
            "s3",
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified "
            "endpoint.",
        )
        region = ("x-amz-bucket-region", str(stored.region_name))
        return "301 Moved Permanently", [*headers, region], body
    if readers_pay and environ.get("HTTP_X_AMZ_REQUEST_PAYER") != "requester":
        return format_refusal(environ, "s3", "AccessDenied", "Access Denied")
    return None
