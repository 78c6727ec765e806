"""The status of an object: what can be known of it without reading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """Status of an object.

    Attributes:
        etag: Identity of the object's bytes.
        size: Number of bytes.
    """

    etag: str
    size: int
