"""Check IAM authentication tokens as RDS does, for the local cloud's own PostgreSQL.

RDS does so in a PAM module. PostgreSQL can also check a user's password with an LDAP server
(https://www.postgresql.org/docs/current/auth-ldap.html), which requires no installation. This
module implements the only LDAP operation that PostgreSQL uses, the simple bind of RFC 4511, section
4.2.
"""

from __future__ import annotations

import hmac
import re
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BufferedIOBase, BytesIO
from urllib.parse import parse_qsl, urlencode, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

USER_PREFIX = "uid="
_SEQUENCE, _INTEGER, _ENUMERATED, _TEXT = 0x30, 0x02, 0x0A, 0x04
_BIND_REQUEST, _BIND_RESPONSE = 0x60, 0x61
_SUCCESS, _INVALID_CREDENTIALS = 0, 49
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_MAX_AGE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """IAM authentication token: a signed request to connect that is never sent.

    Attributes:
        address: Host and port of the server that the token is for.
        user: Database user that the token is for.
        key: Access key that signed the token.
        session: Session token of that key; empty if it has none.
        region: Region of the server.
        signed: Time of the signature.
        signature: Signature in hexadecimal digits.
        query: Signed part of the query.
    """

    address: str
    user: str
    key: str
    session: str
    region: str
    signed: datetime
    signature: str
    query: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Token:
        """Parse a token.

        Raises:
            ValueError: The text is not a token; the message states the reason.
        """
        url = urlsplit(f"https://{text}")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        signature = query.pop("X-Amz-Signature", "")
        if query.get("Action") != "connect" or not signature:
            raise ValueError("the text is not an IAM authentication token")
        credential = re.fullmatch(
            r"(.+)/\d{8}/([\w-]+)/rds-db/aws4_request", query.get("X-Amz-Credential", "")
        )
        if credential is None:
            raise ValueError("the token is signed for another service")
        try:
            signed = datetime.strptime(query["X-Amz-Date"], _DATE_FORMAT).replace(tzinfo=UTC)
        except (KeyError, ValueError):
            raise ValueError("the token has no date") from None
        return cls(
            address=url.netloc,
            user=query.get("DBUser", ""),
            key=credential[1],
            session=query.get("X-Amz-Security-Token", ""),
            region=credential[2],
            signed=signed,
            signature=signature,
            query=query,
        )

    def refusal_reason(self, *, user: str, address: str, now: datetime) -> str:
        """Return the reason why the token does not admit `user`; empty if it does."""
        if self.address != address:
            return f"the token is for {self.address}"
        if self.user != user:
            return f"the token is for the user {self.user}"
        return "" if abs(now - self.signed) <= _MAX_AGE else "the token has expired"

    def is_signed_with(self, secret: str) -> bool:
        """Return whether the signature was made with this secret key."""
        request = AWSRequest("GET", f"https://{self.address}/?{urlencode(self.query)}")
        request.context["timestamp"] = self.signed.strftime(_DATE_FORMAT)
        signer = SigV4QueryAuth(
            Credentials(self.key, secret, self.session or None), "rds-db", self.region
        )
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        return hmac.compare_digest(signer.signature(to_sign, request), self.signature)


class TokenServer:
    """LDAP server that accepts a token as the password of its user."""

    def __init__(self, accepts: Callable[[str, str], bool]) -> None:
        """Store the function that checks a user and a password."""

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _serve_binds(self.rfile, self.wfile, accepts)

        self._handler = Handler
        self._server: socketserver.ThreadingTCPServer | None = None

    def listen(self) -> int:
        """Listen until the server is closed; return the port."""
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="tokens", daemon=True).start()
        port: int = self._server.server_address[1]
        return port

    def close(self) -> None:
        """Stop listening; repeated calls have no effect."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _serve_binds(
    incoming: BufferedIOBase, outgoing: BufferedIOBase, accepts: Callable[[str, str], bool]
) -> None:
    """Respond to bind requests until the client unbinds, as PostgreSQL does after one request."""
    while True:
        kind, message = _read_element(incoming)
        if kind != _SEQUENCE:
            return
        (_, number), (operation, body) = _split_elements(message)[:2]
        if operation != _BIND_REQUEST:
            return
        _, (_, name), (_, password) = _split_elements(body)
        accepted = accepts(name.decode().removeprefix(USER_PREFIX), password.decode())
        code = _SUCCESS if accepted else _INVALID_CREDENTIALS
        result = _encode_element(_ENUMERATED, bytes([code])) + _encode_element(_TEXT, b"") * 2
        response = _encode_element(_INTEGER, number) + _encode_element(_BIND_RESPONSE, result)
        outgoing.write(_encode_element(_SEQUENCE, response))


def _read_element(stream: BufferedIOBase) -> tuple[int, bytes]:
    """Read one BER element, and return its tag and content; tag 0 at the end of the stream."""
    head = stream.read(2)
    if len(head) < 2:  # noqa: PLR2004 - tag and length
        return 0, b""
    tag, length = head
    if length & 0x80:
        length = int.from_bytes(stream.read(length & 0x7F), "big")
    return tag, stream.read(length)


def _split_elements(content: bytes) -> list[tuple[int, bytes]]:
    stream, parts = BytesIO(content), list[tuple[int, bytes]]()
    while (part := _read_element(stream))[0]:
        parts.append(part)
    return parts


def _encode_element(tag: int, content: bytes) -> bytes:
    """Encode one BER element; all elements here are shorter than 128 bytes."""
    return bytes([tag, len(content)]) + content
