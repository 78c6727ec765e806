"""Apply the faults that are on to every request at the edge of the local cloud.

`/local-cloud/faults` switches faults on (POST), queries them (GET) and switches them off (DELETE).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from local_cloud.faults import kinds
from local_cloud.faults.http import HttpRequest, HttpResponse
from local_cloud.faults.registry import FaultRegistry

FAULTS_PATH = "/local-cloud/faults"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class FaultMiddleware:
    """WSGI application around that of the services."""

    def __init__(self, services: Application, faults: FaultRegistry) -> None:
        self._services = services
        self._faults = faults

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request with a fault, or pass it to the services."""
        request = HttpRequest.from_environ(environ)
        if request.path.startswith(FAULTS_PATH):
            return _send(_handle_command(self._faults, request, environ), start_response)
        if fault := self._faults.trigger(kinds.HttpFault, lambda fault: fault.applies_to(request)):
            # The client may still be sending, and would not read a response until it is done.
            _read_body(environ)
            return _send(fault.response(), start_response)
        response = self._services(environ, start_response)
        if self._faults.trigger(kinds.ConnectionBroken, lambda fault: fault.applies_to(request)):
            return _send_half(response)
        return response


def _handle_command(faults: FaultRegistry, request: HttpRequest, environ: Environ) -> HttpResponse:
    number = request.path.removeprefix(FAULTS_PATH).strip("/")
    try:
        match request.method:
            case "POST":
                fault = msgspec.json.decode(_read_body(environ), type=kinds.ANY_FAULT)
                return _json_response(faults.switch_on(fault))
            case "GET":
                return _json_response(faults.occurrences(int(number)))
            case "DELETE":
                return _json_response(faults.switch_off(int(number)))
    except (KeyError, ValueError) as error:
        return HttpResponse(HTTPStatus.BAD_REQUEST, (), str(error).encode())
    return HttpResponse(HTTPStatus.METHOD_NOT_ALLOWED, (), b"")


def _json_response(value: int) -> HttpResponse:
    return HttpResponse(
        HTTPStatus.OK, (("Content-Type", "application/json"),), json.dumps(value).encode()
    )


def _send(response: HttpResponse, start_response: StartResponse) -> list[bytes]:
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    start_response(f"{response.status.value} {response.status.phrase}", headers)
    return [response.body]


def _read_body(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    return body


def _send_half(response: Iterable[bytes]) -> Iterator[bytes]:
    """Send the first half of a response, then end the connection."""
    content = b"".join(response)
    yield content[: len(content) // 2]
    raise ConnectionAbortedError("a fault ends the connection")
