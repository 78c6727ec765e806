"""Refuse requests unless the policies of the caller's role grant all necessary permissions.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html; the
callers to whom S3 reports a missing object:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html

Moto 5.2.5 can evaluate policies, but checks most actions on `*` instead of their resource. It
evaluates no condition, and checks neither the source of a copy, nor missing objects, nor any action
of the SageMaker runtime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.access import CREDENTIALS_PATH, Access, UnknownCredentialsError
from local_cloud.permissions.needs import READS, Need, Request, bucket_arn, needs
from local_cloud.permissions.refusals import not_authorized, refusal
from local_cloud.permissions.requests import Environ, Scope, read_request
from local_cloud.services import Services

NAME = "access_control"

StartResponse = Callable[..., Any]
PassOn = Callable[[StartResponse], Iterable[bytes]]
# Moto's own pages.
_OPEN = ("/moto-api", "/favicon.ico")
# Calls that IAM always allows.
_FREE = {("sts", "GetCallerIdentity")}


def apply(patcher: Patcher, services: Services) -> None:
    """Check each request before moto processes it."""

    def call(dispatcher: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def pass_on(start: StartResponse) -> Iterable[bytes]:
            answer: Iterable[bytes] = original(dispatcher, environ, start)
            return answer

        path = environ["PATH_INFO"]
        if path.startswith(CREDENTIALS_PATH):
            name = path.removeprefix(CREDENTIALS_PATH)
            return _credentials(services.access, name, start_response)
        if path.startswith(_OPEN):
            return pass_on(start_response)
        return _Gate(services.access, environ).answer(start_response, pass_on)

    original = patcher.replace(DomainDispatcherApplication, "__call__", call)


class _Gate:
    """Permission check of one request to moto."""

    def __init__(self, access: Access, environ: Environ) -> None:
        self._access = access
        self._environ = environ
        self._scope = Scope.of(environ)

    def answer(self, start_response: StartResponse, pass_on: PassOn) -> Iterable[bytes]:
        """Pass the request on, or refuse it."""
        try:
            caller = self._access.caller(self._scope.key, self._scope.token)
        except UnknownCredentialsError as error:
            return self._refuse(error.code, str(error), start_response)
        if caller is None:
            return pass_on(start_response)
        request = read_request(self._environ, self._scope)
        if refused := self._refused(caller, request):
            return self._deny(caller, refused, start_response)
        if request.service == "s3" and request.operation in READS:
            return self._read(caller, request, start_response, pass_on)
        return pass_on(start_response)

    def _refused(self, caller: Any, request: Request) -> Need | None:
        """Return the first permission of a request that is not granted; None if all are."""
        if (request.service, request.operation) in _FREE:
            return None
        return next((need for need in needs(request) if not self._granted(caller, need)), None)

    def _granted(self, caller: Any, need: Need) -> bool:
        return self._access.allows(caller.role_arn, *need)

    def _read(
        self, caller: Any, request: Request, start_response: StartResponse, pass_on: PassOn
    ) -> Iterable[bytes]:
        """Pass a read on; report a missing object only to callers who may list its bucket."""
        started: list[Any] = []
        body = pass_on(lambda *given: started.append(given))
        listing: Need = ("s3:ListBucket", bucket_arn(request.parameter("Bucket")), {})
        if started[0][0].startswith("404") and not self._granted(caller, listing):
            if close := getattr(body, "close", None):
                close()
            return self._deny(caller, listing, start_response)
        start_response(*started[0])
        return body

    def _deny(self, caller: Any, need: Need, start_response: StartResponse) -> Iterable[bytes]:
        action, resource, _ = need
        message = not_authorized(caller.arn, action, resource)
        return self._refuse("AccessDenied", message, start_response)

    def _refuse(self, code: str, message: str, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = refusal(self._environ, self._scope.service, code, message)
        start_response(status, headers)
        return [body]


def _credentials(access: Access, name: str, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a container that requests its credentials."""
    found = access.container_credentials(name)
    status = "404 Not Found" if found is None else "200 OK"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(found or {"message": "no such container"}).encode()]
