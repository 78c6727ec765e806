"""Encodings of the text files that users give."""

from __future__ import annotations

import json
from typing import Any


def to_utf8(content: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark.

    Windows saves text as UTF-8 with a mark, or as UTF-16.

    Raises:
        UnicodeError: the content is no text of the encoding that it begins in.
    """
    encoding = json.detect_encoding(content)
    text = content.decode(encoding)
    return content if encoding == "utf-8" else text.encode()


def parse_json(content: bytes | str) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
