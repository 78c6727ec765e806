"""Serve SageMaker's HTTP interface of a container: `/ping` and `/invocations`.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from sagemaker_jobs.serve_model.body import CloseUnreadMiddleware, spool_body
from swath.errors import InputError, PayloadError, SwathError, TransientError
from swath.messages import ShardRequest
from swath.sagemaker.server import content_types
from swath.sagemaker.server.errors import (
    BusyError,
    DrainingError,
    NotAcceptableError,
    TooLargeError,
    TooSlowError,
    UnknownTypeError,
)
from swath.sagemaker.server.limits import ByteBudget
from swath.sagemaker.server.service import Service
from swath.sagemaker.server.settings import ServeSettings
from swath.storage.encoding import parse_json

logger = logging.getLogger("swath.serve_model")

STATUS_BY_ERROR: dict[type[Exception], int] = {
    TooLargeError: 413,
    TooSlowError: 408,
    UnknownTypeError: 415,
    NotAcceptableError: 406,
    InputError: 400,
    ClientDisconnect: 400,
    BusyError: 429,
    TransientError: 503,
    BotoCoreError: 503,
    ClientError: 503,
}
"""HTTP statuses of errors; the first matching class applies. Any other error is a bug of swath:
500."""
_SERVER_ERROR = 500
_MAX_SHARD_REQUEST_BYTES = 64 << 10
_MAX_PAYLOAD_MB = 25
"""Maximum payload of a batch transform in MB; AWS allows 100 MB for all concurrent payloads
together."""
_MAX_CONCURRENT_TRANSFORMS = 4


class ServerState:
    """State that the requests of one process share."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.disk = ByteBudget(settings.serve_spool_bytes)
        self.service: Service | None = None
        """Service of the model; None until the model is loaded."""

    @property
    def ready(self) -> bool:
        """True if the container accepts requests."""
        return self.service is not None and self.service.ready

    def require_service(self) -> Service:
        """Return the service if it accepts requests.

        Raises:
            DrainingError: The model is still loading, or the container is stopping.
        """
        if self.service is None:
            raise DrainingError("the model is still being loaded; send the request again")
        if not self.service.ready:
            raise DrainingError("this container is about to stop; send the request again")
        return self.service


def create_app(container: ServerState) -> FastAPI:
    """Create the application, which answers even before the model is loaded."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(CloseUnreadMiddleware)

    @app.get("/ping")
    async def ping() -> Response:
        return Response(status_code=200 if container.ready else 503)

    @app.get("/execution-parameters")
    async def execution_parameters() -> dict[str, Any]:
        # Batch transform requests these values, so no job has to set them.
        return {
            "MaxConcurrentTransforms": _MAX_CONCURRENT_TRANSFORMS,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": _MAX_PAYLOAD_MB,
        }

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        try:
            return await _invoke(container, request)
        except Exception as error:  # noqa: BLE001 (no request may end the process)
            return _error_response(error)

    return app


async def _invoke(container: ServerState, request: Request) -> Response:
    service = container.require_service()
    content_type = request.headers.get("content-type", "")
    content_types.check_content_type(content_type)
    content_types.check_content_encoding(request.headers.get("content-encoding", ""))
    if content_types.media_type(content_type) == content_types.JSON:
        return await _infer_shard(container, service, request)
    response_type = content_types.response_type(request.headers.get("accept", ""))
    limit = container.settings.serve_max_body_bytes
    seconds = container.settings.serve_body_seconds
    async with spool_body(request, container.disk, limit=limit, seconds=seconds) as path:
        with path.open("rb") as file:
            kind = content_types.image_format(content_type, file.read(content_types.MAGIC_BYTES))
        body = await asyncio.wrap_future(service.detect(path, kind, response_type))
    return Response(body, media_type=response_type)


async def _infer_shard(container: ServerState, service: Service, request: Request) -> Response:
    seconds = container.settings.serve_body_seconds
    limit = _MAX_SHARD_REQUEST_BYTES
    async with spool_body(request, container.disk, limit=limit, seconds=seconds) as path:
        try:
            shard_request = ShardRequest.from_json(parse_json(path.read_bytes()))
        except ValueError as error:
            raise PayloadError(f"the request is not JSON: {error}") from None
    receipt = await asyncio.wrap_future(service.infer(shard_request))
    return Response(msgspec.json.encode(receipt), media_type=content_types.JSON)


def _error_response(error: Exception) -> Response:
    status = next(
        (code for kind, code in STATUS_BY_ERROR.items() if isinstance(error, kind)), _SERVER_ERROR
    )
    is_known = isinstance(error, SwathError)
    if status >= _SERVER_ERROR or not is_known:
        logger.error("%s: %s", type(error).__name__, error, exc_info=None if is_known else error)
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, BusyError) else None
    # The message may repeat the client's input, including lone surrogates.
    message = str(error).encode(errors="backslashreplace").decode()
    body = {"error": type(error).__name__, "message": message}
    return Response(msgspec.json.encode(body), status, headers, content_types.JSON)
