"""The part of RDS that looks at IAM authentication tokens, for a PostgreSQL of our own.

RDS does so in a PAM module. PostgreSQL can also ask an LDAP server whether a user's password is
right (https://www.postgresql.org/docs/current/auth-ldap.html), and that needs nothing installed:
this is the one operation of LDAP that it uses, the simple bind of RFC 4511, section 4.2.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BufferedIOBase, BytesIO
from urllib.parse import parse_qs, urlsplit

PREFIX = "uid="
_SEQUENCE, _INTEGER, _ENUMERATED, _TEXT = 0x30, 0x02, 0x0A, 0x04
_BIND_REQUEST, _BIND_RESPONSE = 0x60, 0x61
_SUCCESS, _INVALID_CREDENTIALS = 0, 49
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
_LIFETIME = timedelta(minutes=15)


def refusal(token: str, *, user: str, host: str, port: int, now: datetime) -> str:
    """Say why a token does not let `user` in; empty if it does.

    The signature is not verified: that takes the secret key of whoever signed it.
    """
    url = urlsplit(f"https://{token}")
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if query.get("Action") != "connect" or not query.get("X-Amz-Signature"):
        return "it is no IAM authentication token"
    if url.netloc != f"{host}:{port}":
        return f"it is for {url.netloc}"
    if query.get("DBUser") != user:
        return f"it is for the user {query.get('DBUser')}"
    if not re.fullmatch(r".+/\d{8}/[\w-]+/rds-db/aws4_request", query.get("X-Amz-Credential", "")):
        return "it is signed for another service"
    try:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return "it has no date"
    return "" if abs(now - signed) <= _LIFETIME else "it has expired"


class TokenServer:
    """An LDAP server that takes a token for the password of the user whom it is made for."""

    def __init__(self, accepts: Callable[[str, str], bool]) -> None:
        """`accepts` is given the user and the password."""

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _answer(self.rfile, self.wfile, accepts)

        self._handler = Handler
        self._server: socketserver.ThreadingTCPServer | None = None

    def listen(self) -> int:
        """Start to listen, until it is closed; the port."""
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="tokens", daemon=True).start()
        port: int = self._server.server_address[1]
        return port

    def close(self) -> None:
        """Stop listening; again is no harm."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _answer(
    incoming: BufferedIOBase, outgoing: BufferedIOBase, accepts: Callable[[str, str], bool]
) -> None:
    """Answer bind requests until the client unbinds, which PostgreSQL does after one."""
    while True:
        kind, message = _read(incoming)
        if kind != _SEQUENCE:
            return
        (_, number), (operation, body) = _parts(message)[:2]
        if operation != _BIND_REQUEST:
            return
        _, (_, name), (_, password) = _parts(body)
        good = accepts(name.decode().removeprefix(PREFIX), password.decode())
        code = _SUCCESS if good else _INVALID_CREDENTIALS
        result = _element(_ENUMERATED, bytes([code])) + _element(_TEXT, b"") * 2
        response = _element(_INTEGER, number) + _element(_BIND_RESPONSE, result)
        outgoing.write(_element(_SEQUENCE, response))


def _read(stream: BufferedIOBase) -> tuple[int, bytes]:
    """Read one element of BER: its tag and its content; the tag 0 at the end of the stream."""
    head = stream.read(2)
    if len(head) < 2:  # noqa: PLR2004 - tag and length
        return 0, b""
    tag, length = head
    if length & 0x80:
        length = int.from_bytes(stream.read(length & 0x7F), "big")
    return tag, stream.read(length)


def _parts(content: bytes) -> list[tuple[int, bytes]]:
    stream, parts = BytesIO(content), list[tuple[int, bytes]]()
    while (part := _read(stream))[0]:
        parts.append(part)
    return parts


def _element(tag: int, content: bytes) -> bytes:
    """Write one element of BER; everything here is shorter than 128 bytes."""
    return bytes([tag, len(content)]) + content
