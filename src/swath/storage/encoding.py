"""Decode the text files that users provide."""

from __future__ import annotations

import json
from typing import Any


def to_utf8(content: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark.

    Windows saves text as UTF-8 with a byte order mark, or as UTF-16.

    Raises:
        UnicodeError: The content is not valid in the encoding that its first bytes indicate.
    """
    encoding = json.detect_encoding(content)
    text = content.decode(encoding)
    return content if encoding == "utf-8" else text.encode()


def parse_json(content: bytes | str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
