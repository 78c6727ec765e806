"""Read label files in UTF-8, UTF-16 or UTF-32, and refuse JSON that repeats a member."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from swath import storage
from swath.errors import LabelsError
from swath.storage.encoding import to_utf8

MAX_LABEL_BYTES = 1 << 30
"""Maximum size of a label file in bytes, since the whole file is in memory while it is read."""

_T = TypeVar("_T")


def read_text(uri: str) -> bytes:
    """Return the content of a label file as UTF-8 without a byte order mark.

    Args:
        uri: Local path or S3 URI.

    Raises:
        LabelsError: The file does not exist, cannot be read, or is not text.
        InputError: The file has more than `MAX_LABEL_BYTES`.
    """
    try:
        content = storage.read_bounded(uri, MAX_LABEL_BYTES)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise LabelsError(f"{uri} does not exist; check the address of the labels") from None
    except OSError as error:
        raise LabelsError(f"{uri} cannot be read: {error.strerror}; check the address") from None
    try:
        return to_utf8(content)
    except UnicodeError as error:
        raise LabelsError(f"{uri} is not text: {error}; save it as UTF-8") from None


def decode_json(text: bytes, kind: type[_T], *, source: str, form: str) -> _T:
    """Decode JSON into an object of a type.

    Args:
        text: JSON in UTF-8.
        kind: Type to decode into.
        source: Name of the file, for messages.
        form: Description of the expected JSON, with which an error message ends.

    Raises:
        LabelsError: The text is not JSON of that type, or is nested too deeply.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise LabelsError(f"{source}: {error}; {form}") from None
    except RecursionError:
        raise LabelsError(f"{source}: JSON is nested too deeply; {form}") from None


def refuse_repeated_members(text: bytes, source: str) -> None:
    """Raise an error if an object in JSON has a member twice, since parsers keep only the last.

    Args:
        text: JSON in UTF-8.
        source: Name of the file, for messages.

    Raises:
        LabelsError: An object has a member twice (the message names it), or the text is not JSON.
    """

    def check(members: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in members}
        if len(names) < len(members):
            given = [name for name, _ in members]
            twice = next(name for name in given if given.count(name) > 1)
            raise LabelsError(
                f"{source}: an object has the member {twice!r} twice, and only one would be read; "
                "remove one, or merge them"
            )

    try:
        json.loads(text, object_pairs_hook=check)
    except RecursionError:
        raise LabelsError(f"{source}: JSON is nested too deeply for labels") from None
    except ValueError as error:
        raise LabelsError(f"{source}: {error}; write it as JSON, RFC 8259") from None
