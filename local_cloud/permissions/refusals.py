"""Phrase a refusal as the requested service does."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

Refusal = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body."""

# Code for credentials that were never issued; other protocols have other codes.
_UNKNOWN_CREDENTIALS = "UnrecognizedClientException"


def not_authorized_message(caller: str, action: str, resource: str) -> str:
    """Return AWS's message for a call that no policy grants."""
    return (
        f"User: {caller} is not authorized to perform: {action} on resource: {resource} because "
        f"no identity-based policy allows the {action} action"
    )


def format_refusal(environ: dict[str, Any], service: str, code: str, message: str) -> Refusal:
    """Return the refusal in the protocol of the request.

    Args:
        environ: WSGI environment of the request.
        service: Service that the request is signed for; empty for an unsigned one.
        code: `AccessDenied`, or the reason why the credentials are refused.
        message: Message for the caller.
    """
    target = environ.get("HTTP_X_AMZ_TARGET")
    form = (environ.get("CONTENT_TYPE") or "").startswith("application/x-www-form-urlencoded")
    if service in {"s3", ""}:
        return _format_s3(environ["REQUEST_METHOD"], code, message)
    if form and not target:
        return _format_query(code, message)
    code = "AccessDeniedException" if code == "AccessDenied" else code
    body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
    headers = [("Content-Type", "application/json"), ("x-amzn-errortype", code)]
    return "400 Bad Request" if target else "403 Forbidden", headers, body


def _format_s3(method: str, code: str, message: str) -> Refusal:
    code = "InvalidAccessKeyId" if code == _UNKNOWN_CREDENTIALS else code
    body = f"<Error>{_elements(code, message)}</Error>".encode() if method != "HEAD" else b""
    return "403 Forbidden", [("Content-Type", "application/xml")], body


def _format_query(code: str, message: str) -> Refusal:
    code = "InvalidClientTokenId" if code == _UNKNOWN_CREDENTIALS else code
    text = f"<ErrorResponse><Error>{_elements(code, message)}</Error></ErrorResponse>"
    return "403 Forbidden", [("Content-Type", "text/xml")], text.encode()


def _elements(code: str, message: str) -> str:
    return f"<Code>{code}</Code><Message>{escape(message)}</Message>"
