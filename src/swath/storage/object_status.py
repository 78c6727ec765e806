"""Define the status of an object: the properties that are known without reading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """Status of an object.

    Attributes:
        etag: Identity of the object's bytes.
        size: Size in bytes.
    """

    etag: str
    size: int
