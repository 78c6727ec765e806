"""Represent requests to AWS at the edge, and errors in the formats of AWS's protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_REQUEST_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """Request to a service; `service` is its name in the signature, empty if unsigned."""

    service: str
    method: str
    path: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> HttpRequest:
        """Parse a WSGI environment."""
        signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        path = str(environ.get("PATH_INFO", ""))
        in_query = parse_qs(str(environ.get("QUERY_STRING", ""))).get("X-Amz-Credential")
        if not signed and in_query:
            signed = _CREDENTIAL.search(f"Credential={in_query[0]}")
        return cls(
            service=signed[1] if signed else "",
            method=str(environ.get("REQUEST_METHOD", "GET")),
            path=path,
        )


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """HTTP response."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes


def json_error(status: int, code: str, message: str) -> HttpResponse:
    """Return an error of a service with a JSON protocol.

    https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    """
    body = json.dumps({"Type": "User", "Message": message, "message": message}).encode()
    headers = (("Content-Type", "application/json"), ("x-amzn-errortype", code))
    return HttpResponse(HTTPStatus(status), (*headers, ("x-amzn-requestid", _REQUEST_ID)), body)


def s3_error(status: int, code: str, message: str) -> HttpResponse:
    """Return an error of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message><RequestId>{_REQUEST_ID}</RequestId></Error>"
    ).encode()
    return HttpResponse(HTTPStatus(status), (("Content-Type", "application/xml"),), body)
