"""JSON objects in the work bucket that carry the SHA-256 of their own content.

Plans, receipts and checkpoints are read hours after they were written, by other processes. A
changed byte in JSON mostly leaves valid JSON: another number of tiles, another name. So each object
has a member `sha256`, of the others in a canonical form: sorted by name, without white space.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from swath import storage

_MEMBER = "sha256"


def write_checked(uri: str, data: dict[str, Any]) -> None:
    """Write an object with its checksum.

    Args:
        uri: of the object.
        data: of plain JSON types, without a member `sha256`.
    """
    storage.write_json(uri, data | {_MEMBER: _digest(data)})


def read_checked(uri: str) -> dict[str, Any]:
    """Return an object's data, without the checksum.

    Raises:
        FileNotFoundError: there is no object at the address.
        ValueError: it is no JSON object, or not as it was written.
    """
    return checked(storage.read_json(uri))


def checked(data: Any) -> dict[str, Any]:
    """Return the data of an object as it was read from JSON, without the checksum.

    Raises:
        ValueError: it is no JSON object, or not as it was written.
    """
    if not isinstance(data, dict) or _MEMBER not in data:
        raise ValueError("it has no checksum")
    rest = {name: value for name, value in data.items() if name != _MEMBER}
    if data[_MEMBER] != _digest(rest):
        raise ValueError("its SHA-256 is not that of its content")
    return rest


def _digest(data: dict[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
