"""Read an API call from its HTTP request, according to the service's own model."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qs

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from local_cloud.clients import ACCOUNT
from local_cloud.permissions.api_permissions import ApiRequest

Environ = dict[str, Any]
# Services whose name in boto differs from the name that requests are signed for.
_BOTO_NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions"}
# Services that policies call by another name.
_ACTION_PREFIXES = {"monitoring": "cloudwatch"}
# Parameters with another name in a query.
_QUERY_PARAMETERS = {"versionId": "VersionId"}


class CredentialScope:
    """Signer of a request, with the service and region that it is signed for."""

    def __init__(self, credential: str, token: str) -> None:
        parts = credential.split("/")
        self.key, _, self.region, self.service = (*parts[:4], "", "", "", "")[:4]
        self.token = token

    @classmethod
    def from_environ(cls, environ: Environ) -> Self:
        """Parse the header of a signed request, or the query of a presigned one."""
        header = environ.get("HTTP_AUTHORIZATION", "")
        if credential := re.search(r"Credential=([^,\s]+)", header):
            return cls(credential[1], environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
        query = parse_qs(environ.get("QUERY_STRING", ""))
        credential = query.get("X-Amz-Credential", [""])[0]
        return cls(credential, query.get("X-Amz-Security-Token", [""])[0])


def read_request(
    environ: Environ, scope: CredentialScope, machine_for_token: Callable[[str], str]
) -> ApiRequest:
    """Return the API call of a signed request; its body can be read again.

    Args:
        environ: WSGI environment of the request.
        scope: Signer of the request, with the service and region.
        machine_for_token: Function that returns the state machine that waits with a task token.
    """
    model = get_service_model(_model_name(environ, scope.service))
    body = b"" if _is_upload(environ, scope.service) else _read_body(environ)
    replaced = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    http = MotoRequest({**environ, **replaced})
    operation, parameters = _identify_operation(http, str(model.service_name), body)
    if body and scope.service != "s3":
        parser = PROTOCOL_PARSERS[determine_request_protocol(model, http.content_type)]
        operation_parser: Any = parser(model.operation_model(operation))
        parameters = operation_parser.parse(
            {
                "method": http.method,
                "values": http.values,
                "headers": http.headers,
                "body": http.data,
                "url_path": http.path,
                "url_params": parameters,
            }
        )
    return ApiRequest(
        service=_ACTION_PREFIXES.get(scope.service, scope.service),
        operation=operation,
        parameters=parameters,
        region=scope.region,
        account=ACCOUNT,
        headers=dict(http.headers.items()),
        body=body,
        machine_for_token=machine_for_token,
    )


def _model_name(environ: Environ, service: str) -> str:
    if service == "sagemaker" and "invocations" in environ["PATH_INFO"]:
        return "sagemaker-runtime"
    return _BOTO_NAMES.get(service, service)


def _identify_operation(http: MotoRequest, model: str, body: bytes) -> tuple[str, dict[str, Any]]:
    if target := http.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2], {}
    if (action := http.args.get("Action")) or (
        (http.content_type or "").startswith("application/x-www-form-urlencoded")
        and (action := parse_qs(body.decode()).get("Action", [""])[0])
    ):
        return action, {}
    try:
        operation, uri = get_service_router(model).match(http)
    except NotFound:
        return f"Unknown{http.method.title()}", {}
    return str(operation.name), {
        **uri,
        **{_QUERY_PARAMETERS.get(k, k): v for k, v in http.args.items()},
    }


def _is_upload(environ: Environ, service: str) -> bool:
    """Return whether the body is an object or a payload, which permissions do not depend on."""
    if service == "s3":
        return environ["REQUEST_METHOD"] != "POST" or "delete" not in environ["QUERY_STRING"]
    return "invocations" in environ["PATH_INFO"]


def _read_body(environ: Environ) -> bytes:
    """Read the body, and keep it readable."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
