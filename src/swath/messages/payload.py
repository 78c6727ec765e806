"""The base of all messages: JSON in and out, refused where it is not what it should be."""

from __future__ import annotations

import threading
from typing import Any, Self, cast

import msgspec

from swath.errors import PayloadError

_resolving = threading.Lock()
# msgspec 0.22 works out a type when it first reads one, and crashes if two threads do so at once.


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that travels as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The message as plain JSON types, ready for Step Functions or a file."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a message.

        Raises:
            PayloadError: a field is missing, unknown, or of the wrong type; the message names it.
        """
        try:
            with _resolving:
                return msgspec.convert(data, cls)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            # JSON can hold half of a surrogate pair, which is no text.
            raise PayloadError(f"{cls.__name__}: {error}") from None
