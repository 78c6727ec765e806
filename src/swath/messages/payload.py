"""Define the base class of all messages, which are written as JSON and validated when read."""

from __future__ import annotations

import threading
from typing import Any, Self, cast

import msgspec

from swath.errors import PayloadError

_convert_lock = threading.Lock()
# msgspec 0.22 resolves a type when it first reads it, and crashes if two threads do so at once.


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Message that is sent as JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return the message as plain JSON types, for Step Functions or a file."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a message from parsed JSON.

        Raises:
            PayloadError: A field is missing, unknown, or of the wrong type; the error names it.
        """
        try:
            with _convert_lock:
                return msgspec.convert(data, cls)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            # JSON can hold half of a surrogate pair, which cannot be encoded as UTF-8.
            raise PayloadError(f"{cls.__name__}: {error}") from None
