"""Read and write notes: JSON objects that several handlers of events write in turns."""

from __future__ import annotations

import json
from typing import Self

import msgspec

from swath import storage
from swath.errors import PayloadError
from swath.messages import Payload


class Note(Payload, frozen=True, kw_only=True):
    """Note whose writer must know the ETag of the note that it replaces."""

    @classmethod
    def read(cls, uri: str) -> tuple[Self | None, str | None]:
        """Return the note and its object's ETag.

        The note is None if it is missing or damaged; the ETag is None if it is missing.
        """
        try:
            data, etag = storage.read_with_etag(uri)
        except FileNotFoundError:
            return None, None
        try:
            return cls.from_json(json.loads(data)), etag
        except (ValueError, PayloadError):
            return None, etag

    def write(self, uri: str, etag: str | None) -> str | None:
        """Write the note if the stored one still has the ETag; return the new ETag, or None.

        With an ETag of None, the note is written only if there is none yet.
        """
        return storage.write_if_unchanged(uri, msgspec.json.encode(self), etag)
