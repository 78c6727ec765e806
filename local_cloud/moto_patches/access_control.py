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
from local_cloud.moto_patches.task_callbacks import machine_for_token
from local_cloud.permissions.access import CREDENTIALS_PATH, Access, UnknownCredentialsError
from local_cloud.permissions.api_permissions import (
    READ_OPERATIONS,
    ApiRequest,
    RequiredPermission,
    bucket_arn,
    required_permissions,
)
from local_cloud.permissions.refusals import format_refusal, not_authorized_message
from local_cloud.permissions.requests import CredentialScope, Environ, read_request
from local_cloud.services import Services

NAME = "access_control"

StartResponse = Callable[..., Any]
Forward = Callable[[StartResponse], Iterable[bytes]]
# Moto's own pages.
_PUBLIC_PATHS = ("/moto-api", "/favicon.ico")
# Calls that IAM always allows.
_ALWAYS_ALLOWED = {("sts", "GetCallerIdentity")}


def apply(patcher: Patcher, services: Services) -> None:
    """Check each request before moto processes it."""

    def call(dispatcher: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def forward(start: StartResponse) -> Iterable[bytes]:
            response: Iterable[bytes] = original(dispatcher, environ, start)
            return response

        path = environ["PATH_INFO"]
        if path.startswith(CREDENTIALS_PATH):
            name = path.removeprefix(CREDENTIALS_PATH)
            return _send_credentials(services.access, name, start_response)
        if path.startswith(_PUBLIC_PATHS):
            return forward(start_response)
        return _PermissionCheck(services.access, environ).respond(start_response, forward)

    original = patcher.replace(DomainDispatcherApplication, "__call__", call)


class _PermissionCheck:
    """Permission check of one request to moto."""

    def __init__(self, access: Access, environ: Environ) -> None:
        self._access = access
        self._environ = environ
        self._scope = CredentialScope.from_environ(environ)

    def respond(self, start_response: StartResponse, forward: Forward) -> Iterable[bytes]:
        """Pass the request on, or refuse it."""
        try:
            caller = self._access.identify_caller(self._scope.key, self._scope.token)
        except UnknownCredentialsError as error:
            return self._refuse(error.code, str(error), start_response)
        if caller is None:
            return forward(start_response)
        request = read_request(self._environ, self._scope, machine_for_token)
        if missing := self._missing_permission(caller, request):
            return self._deny(caller, missing, start_response)
        if request.service == "s3" and request.operation in READ_OPERATIONS:
            return self._forward_read(caller, request, start_response, forward)
        return forward(start_response)

    def _missing_permission(self, caller: Any, request: ApiRequest) -> RequiredPermission | None:
        """Return the first permission of a request that is not granted; None if all are."""
        if (request.service, request.operation) in _ALWAYS_ALLOWED:
            return None
        permissions = required_permissions(request)
        return next((each for each in permissions if not self._is_granted(caller, each)), None)

    def _is_granted(self, caller: Any, permission: RequiredPermission) -> bool:
        return self._access.allows(caller.role_arn, *permission)

    def _forward_read(
        self, caller: Any, request: ApiRequest, start_response: StartResponse, forward: Forward
    ) -> Iterable[bytes]:
        """Pass a read on; report a missing object only to callers who may list its bucket."""
        started: list[Any] = []
        body = forward(lambda *arguments: started.append(arguments))
        listing: RequiredPermission = ("s3:ListBucket", bucket_arn(request.parameter("Bucket")), {})
        if started[0][0].startswith("404") and not self._is_granted(caller, listing):
            if close := getattr(body, "close", None):
                close()
            return self._deny(caller, listing, start_response)
        start_response(*started[0])
        return body

    def _deny(
        self, caller: Any, permission: RequiredPermission, start_response: StartResponse
    ) -> Iterable[bytes]:
        action, resource, _ = permission
        message = not_authorized_message(caller.arn, action, resource)
        return self._refuse("AccessDenied", message, start_response)

    def _refuse(self, code: str, message: str, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = format_refusal(self._environ, self._scope.service, code, message)
        start_response(status, headers)
        return [body]


def _send_credentials(access: Access, name: str, start_response: StartResponse) -> Iterable[bytes]:
    """Send a container the credentials that it requests."""
    credentials = access.container_credentials(name)
    status = "404 Not Found" if credentials is None else "200 OK"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(credentials or {"message": "no such container"}).encode()]
