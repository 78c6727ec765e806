"""Limit the size and time of request headers, and close connections without losing answers.

uvicorn parses HTTP/1.1 and manages connections. This module adds a limit on the bytes and the time
of a request's head, which uvicorn's parser lacks. It also adds lingering: if a socket is closed
while data from the client is unread, the client's system discards the answer.
https://www.rfc-editor.org/rfc/rfc9112#section-9.6
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from swath.sagemaker.server import content_types

MAX_HEAD_BYTES = 64 << 10
"""Maximum size in bytes of the request line and headers, including trailers."""
LINGER_SECONDS = 10.0
"""Maximum time in s that a client may continue to send after its answer."""


class Connection(HttpToolsProtocol):
    """Server side of one connection.

    Args:
        head_seconds: Maximum time for a request's head to arrive, in s.
        arguments: Arguments of uvicorn's protocol.
    """

    def __init__(self, *, head_seconds: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unparsed = 0
        """Bytes that the parser has consumed since its last callback."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection; if no data arrives, it is closed like an idle one."""
        lingering: Any = _LingeringTransport(transport, self.loop)
        super().connection_made(lingering)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers of an ended connection."""
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received data, unless the connection is closing."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Start the limits of a new request's head."""
        super().on_message_begin()
        self._head_bytes = self._unparsed = 0
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        """Receive a part of the request's URL."""
        self._count_head_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header, or a trailer of a chunked body."""
        self._count_head_bytes(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the limits of the head, and start the answer."""
        self._unparsed = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is invalid or whose head is too large."""
        if max(self._head_bytes, self._unparsed) > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's headers have more than {MAX_HEAD_BYTES} bytes")
        else:
            self._refuse(400, msg)

    def _count_head_bytes(self, size: int) -> None:
        self._unparsed = 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError  # the parser stops, and uvicorn refuses the request

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        seconds = self._head_seconds
        self._refuse(408, f"the request's headers have not arrived in {seconds:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Send an error and close; only close if an answer has been started."""
        self._stop_head_timer()
        cycle: Any = self.cycle  # None before the first request, despite uvicorn's types
        if not cycle or cycle.response_complete or not cycle.response_started:
            answer = msgspec.json.encode({"error": "HttpError", "message": message})
            self.transport.write(
                STATUS_LINE[status]
                + f"content-type: {content_types.JSON}\r\n".encode()
                + f"content-length: {len(answer)}\r\n".encode()
                + b"connection: close\r\n\r\n"
                + answer
            )
        self.transport.close()


class _LingeringTransport:
    """Transport that, after closing, still receives and discards the client's data.

    It ends when the client closes its side, or after `LINGER_SECONDS`. The time is extended only
    while the client continues to read the answer.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether the transport is closing and sends no more data."""
        return self._closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes, unless the transport is closing."""
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send the buffered data and the end of the stream, then linger."""
        if self.is_closing():
            return
        self._closing = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._wait(self._transport.get_write_buffer_size())

    def _wait(self, unsent: int) -> None:
        self._loop.call_later(LINGER_SECONDS, self._end, unsent)

    def _end(self, unsent: int) -> None:
        left = self._transport.get_write_buffer_size()
        if 0 < left < unsent:
            self._wait(left)
        else:
            self._transport.abort()
