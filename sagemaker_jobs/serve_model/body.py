"""Write the bodies of requests to the disk as they arrive, so that large ones need no memory."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from swath.sagemaker.server.errors import BusyError, TooLargeError, TooSlowError
from swath.sagemaker.server.limits import ByteBudget

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RETRY_AFTER_SECONDS = 5
"""Suggested delay of a retry in s."""


@asynccontextmanager
async def spool_body(
    request: Request, disk: ByteBudget, *, limit: int, seconds: float
) -> AsyncIterator[Path]:
    """Yield a file with the request's body, which exists until the block ends.

    Args:
        request: Request whose body to receive.
        disk: Budget of bytes that all bodies share.
        limit: Maximum size of this body in bytes.
        seconds: Maximum time for the body to arrive, in s.

    Yields:
        The path of the file.

    Raises:
        TooSlowError: The body has not arrived in time.
        TooLargeError: The body is larger than the limit.
        BusyError: The budget of the disk is exhausted.
    """
    claimed = 0

    def claim(size: int) -> None:
        nonlocal claimed
        if size > limit:
            raise TooLargeError(
                f"the request has more than {limit} bytes; put large scenes into the stack's bucket"
            )
        if not disk.try_claim(size - claimed):
            raise BusyError(
                "other requests fill the disk; send this request again later",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        claimed = size

    try:
        claim(content_length(request))
        with tempfile.TemporaryDirectory(prefix="swath-request-") as folder:
            path = Path(folder, "body")
            received = 0
            # Writes go to the page cache; moving them to a thread would take longer than writing.
            try:
                with path.open("wb") as file:  # noqa: ASYNC230
                    async with asyncio.timeout(seconds):
                        async for chunk in request.stream():
                            received += len(chunk)
                            if received > claimed:
                                claim(received)
                            file.write(chunk)
            except TimeoutError:
                raise TooSlowError(
                    f"only {received} bytes of the request arrived in {seconds:g} s; send it faster"
                ) from None
            yield path
    finally:
        disk.release(claimed)


class CloseUnreadMiddleware:
    """ASGI middleware that closes the connection if an answer leaves a body unread.

    The client learns this at once and need not send the rest. A client that asks first, with
    `Expect: 100-continue`, sends nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        names = {name for name, _ in scope.get("headers", ())}
        unread = bool(names & {b"content-length", b"transfer-encoding"})

        async def receive_and_note() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if unread and message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive_and_note, answer)


def content_length(request: Request) -> int:
    """Return the announced size of the body in bytes; 0 if the request does not state it."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0
