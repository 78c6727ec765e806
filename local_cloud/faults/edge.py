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
from local_cloud.faults.active import Faults
from local_cloud.faults.http import Answer, Request

PATH = "/local-cloud/faults"

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]


class Edge:
    """WSGI application around that of the services."""

    def __init__(self, services: Application, faults: Faults) -> None:
        self._services = services
        self._faults = faults

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Answer a request with a fault, or pass it to the services."""
        request = Request.of(environ)
        if request.path.startswith(PATH):
            return _send(_administer(self._faults, request, environ), start_response)
        if fault := self._faults.meet(kinds.HttpFault, lambda fault: fault.fits(request)):
            # The client may still be sending, and would not read an answer until it is done.
            _body(environ)
            return _send(fault.answer(), start_response)
        answer = self._services(environ, start_response)
        if self._faults.meet(kinds.ConnectionBroken, lambda fault: fault.fits(request)):
            return _broken(answer)
        return answer


def _administer(faults: Faults, request: Request, environ: Environ) -> Answer:
    number = request.path.removeprefix(PATH).strip("/")
    try:
        match request.method:
            case "POST":
                fault = msgspec.json.decode(_body(environ), type=kinds.ANY_FAULT)
                return _json(faults.switch_on(fault))
            case "GET":
                return _json(faults.met(int(number)))
            case "DELETE":
                return _json(faults.switch_off(int(number)))
    except (KeyError, ValueError) as error:
        return Answer(HTTPStatus.BAD_REQUEST, (), str(error).encode())
    return Answer(HTTPStatus.METHOD_NOT_ALLOWED, (), b"")


def _json(value: int) -> Answer:
    return Answer(
        HTTPStatus.OK, (("Content-Type", "application/json"),), json.dumps(value).encode()
    )


def _send(answer: Answer, start_response: Start) -> list[bytes]:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status.value} {answer.status.phrase}", headers)
    return [answer.body]


def _body(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    return body


def _broken(answer: Iterable[bytes]) -> Iterator[bytes]:
    """Send the first half of an answer, then end the connection."""
    content = b"".join(answer)
    yield content[: len(content) // 2]
    raise ConnectionAbortedError("a fault ends the connection")
