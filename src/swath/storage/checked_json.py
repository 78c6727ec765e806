"""Read and write JSON objects that contain the SHA-256 of their own content.

Other processes read plans, receipts and checkpoints hours after they were written. JSON with a
changed byte is mostly still valid, with another number of tiles or another name. So each object has
a member `sha256`: the hash of the other members in canonical form, sorted by name and without white
space.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from swath import storage

_CHECKSUM_MEMBER = "sha256"


def write_checked(uri: str, data: dict[str, Any]) -> None:
    """Write an object with its checksum.

    Args:
        uri: Address of the object.
        data: Members of the object, of plain JSON types, without a member `sha256`.
    """
    storage.write_json(uri, data | {_CHECKSUM_MEMBER: _digest(data)})


def read_checked(uri: str) -> dict[str, Any]:
    """Read an object and verify its checksum; return the other members.

    Raises:
        FileNotFoundError: There is no object at the address.
        ValueError: The object is not a JSON object, or its checksum is missing or wrong.
    """
    return verify_checksum(storage.read_json(uri))


def verify_checksum(data: Any) -> dict[str, Any]:
    """Verify the checksum of parsed JSON; return the other members.

    Raises:
        ValueError: The data is not a JSON object, or its checksum is missing or wrong.
    """
    if not isinstance(data, dict) or _CHECKSUM_MEMBER not in data:
        raise ValueError("it has no checksum")
    content = {name: value for name, value in data.items() if name != _CHECKSUM_MEMBER}
    if data[_CHECKSUM_MEMBER] != _digest(content):
        raise ValueError("its SHA-256 is not that of its content")
    return content


def _digest(data: dict[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
