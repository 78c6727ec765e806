"""Files of labels as text: any encoding with a byte order mark, and JSON that means one thing."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from swath import storage
from swath.errors import LabelsError
from swath.storage.encoding import to_utf8

MAX_LABEL_BYTES = 1 << 30
"""Bytes of a file of labels, all of which is in memory while it is read."""

_T = TypeVar("_T")


def read_text(uri: str) -> bytes:
    """Read a file of labels as UTF-8 without a byte order mark.

    Raises:
        LabelsError: there is no such file, or it is no text.
        InputError: it has more bytes than `MAX_LABEL_BYTES`.
    """
    try:
        content = storage.read_bounded(uri, MAX_LABEL_BYTES)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise LabelsError(f"there is no file of labels at {uri}; check the address") from None
    except OSError as error:
        raise LabelsError(f"{uri} cannot be read: {error.strerror}; check the address") from None
    try:
        return to_utf8(content)
    except UnicodeError as error:
        raise LabelsError(f"{uri} is no text: {error}; save it as UTF-8") from None


def decode_json(text: bytes, kind: type[_T], *, source: str, form: str) -> _T:
    """Decode JSON.

    Args:
        text: UTF-8.
        kind: what to decode into.
        source: what messages call the file.
        form: what the JSON should be; ends a message about it.

    Raises:
        LabelsError: it is no such JSON, or is nested without end.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise LabelsError(f"{source}: {error}; {form}") from None
    except RecursionError:
        raise LabelsError(f"{source}: JSON is nested too deeply; {form}") from None


def refuse_repeated_members(text: bytes, source: str) -> None:
    """Refuse JSON with a member that an object has twice: of the two, parsers keep the last.

    Raises:
        LabelsError: there is one; the message names it.
    """

    def check(members: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in members}
        if len(names) < len(members):
            given = [name for name, _ in members]
            twice = next(name for name in given if given.count(name) > 1)
            raise LabelsError(
                f"{source}: an object has the member {twice!r} twice, and only one would be read; "
                "remove one, or put the two together"
            )

    try:
        json.loads(text, object_pairs_hook=check)
    except RecursionError:
        raise LabelsError(f"{source}: JSON is nested too deeply to be labels") from None
    except ValueError as error:
        raise LabelsError(f"{source}: {error}; write it as JSON, RFC 8259") from None
