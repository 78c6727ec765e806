"""Hold the list of files that a delivery consists of, and check the paths in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from swath.errors import InputError, SceneError
from swath.items.addresses import SCHEME, check_characters, shown
from swath.storage import ListedObject

MAX_PARTS = 10_000
"""Maximum number of files of a delivery."""
_MD5 = re.compile("[0-9a-f]{32}")


class Part(msgspec.Struct, frozen=True):
    """File of a delivery, as its manifest states it."""

    path: str
    """Path relative to the folder of the manifest."""
    size: int | None = None
    """Size in bytes; None if the manifest does not state it."""
    md5: str = ""
    """MD5 in hexadecimal; empty if the manifest does not state it."""

    def matches(self, listed: ListedObject | None) -> bool:
        """Return whether an object is this part.

        The ETag of an S3 object is its MD5 if it was written by one request and is not encrypted
        by KMS. An ETag of another form proves nothing about the bytes, and only the size counts.
        """
        if listed is None or self.size not in {None, listed.size}:
            return False
        is_md5 = bool(self.md5 and _MD5.fullmatch(listed.etag))
        return not is_md5 or listed.etag == self.md5


class Manifest(msgspec.Struct, frozen=True):
    """List of the files of a delivery."""

    uri: str
    """Address of the manifest."""
    parts: tuple[Part, ...]

    def missing(self, listing: Mapping[str, ListedObject]) -> list[Part]:
        """Return the parts that are not there, or not as the manifest states them.

        Args:
            listing: Objects by path relative to the folder of the manifest.
        """
        return [part for part in self.parts if not part.matches(listing.get(part.path))]


def collect_parts(uri: str, parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts of a manifest, each path once, after checking the paths.

    Args:
        uri: Address of the manifest, for messages.
        parts: Parts as the manifest lists them; `./` at the beginning of a path is dropped.

    Raises:
        SceneError: A path leads out of the folder of the manifest, or there are too many or no
            parts.
    """
    checked: dict[str, Part] = {}
    for part in parts:
        path = part.path.removeprefix("./")
        _check_path(uri, path)
        checked.setdefault(path, msgspec.structs.replace(part, path=path))
        if len(checked) > MAX_PARTS:
            raise SceneError(
                f"{shown(uri)} lists more than {MAX_PARTS:,} files; a delivery has at most "
                f"{MAX_PARTS:,}: divide it"
            )
    if not checked:
        raise SceneError(f"{shown(uri)} lists no file; deliver the manifest again")
    return tuple(checked.values())


def parse_size(text: str | None) -> int | None:
    """Return a stated size in bytes; None if it is missing or no number."""
    return (
        int(text)
        if text and text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS
        else None
    )


def _check_path(uri: str, path: str) -> None:
    try:
        # Behind a folder, so that a path that begins with ".." is refused as well.
        check_characters(f"x/{path}")
    except InputError as error:
        raise SceneError(f"{shown(uri)} lists a file with an invalid path: {error}") from None
    if not path or path.startswith("/") or path.endswith("/") or SCHEME.match(path):
        raise SceneError(
            f"{shown(uri)} lists {shown(path) or 'an empty path'}, which is not the path of a file "
            "inside its folder; deliver the manifest again"
        )


_MAX_DIGITS = 19
