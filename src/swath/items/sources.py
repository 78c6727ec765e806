"""Decide where the files of scenes may lie: the allowed sources, and the folder of the document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from swath import storage
from swath.errors import SceneError, SettingsError
from swath.items.addresses import Address, parse_address, shown
from swath.storage import DEFAULT_ACCESS, BucketAccess

_REGION_OPTION, _PAYS_OPTION = "region", "requester_pays"
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Source:
    """Allowed source: all files whose addresses begin with a prefix, or one file."""

    address: Address
    """Prefix; its path ends with / or is empty, unless the source is one file."""
    access: BucketAccess = DEFAULT_ACCESS
    is_file: bool = False

    def match(self, address: Address) -> Address | None:
        """Return the address by which this source offers a file; None if it does not.

        An https address of S3 becomes `s3://` if the source is a bucket, and the reverse.
        """
        for one in (
            address,
            address.as_s3,
            replace(address, scheme="https", host=self.address.host),
        ):
            is_same = one is address or one.as_s3.key == address.as_s3.key
            if is_same and self._contains(one):
                return one
        return None

    def _contains(self, address: Address) -> bool:
        if (self.address.scheme, self.address.host) != (address.scheme, address.host):
            return False
        if self.is_file:
            return self.address.path == address.path
        return address.path.startswith(self.address.path) and address.path != self.address.path


@dataclass(frozen=True, slots=True)
class SceneSources:
    """Allowed sources of a run; an address outside of them is refused before any request."""

    sources: tuple[Source, ...] = ()

    @classmethod
    def parse(cls, prefixes: Iterable[str]) -> Self:
        """Read sources from a setting, such as `s3://usgs-landsat/?requester_pays=true`.

        Args:
            prefixes: `s3://BUCKET/PREFIX/`, `https://HOST/PREFIX/` or absolute local folders. An
                S3 source may have the options `?region=NAME&requester_pays=true`.

        Raises:
            SettingsError: A source is not such a prefix, or has an unknown option.
        """
        return cls(tuple(_parse_source(prefix.strip()) for prefix in prefixes if prefix.strip()))

    def with_folder(self, document: str) -> SceneSources:
        """Return these sources and the folder of a document; no source beside an empty address.

        Raises:
            SceneError: The address of the document is invalid.
        """
        if not document:
            return self
        address = _parsed(document)
        folder, slash, _ = address.path.rpartition("/")
        return self._with(replace(address, path=folder + slash), is_file=False)

    def with_files(self, addresses: Iterable[str]) -> SceneSources:
        """Return these sources and single files, such as those named on the command line.

        Raises:
            SceneError: An address is invalid.
        """
        sources = self
        for address in addresses:
            sources = sources._with(_parsed(address), is_file=True)
        return sources

    def check(self, address: str) -> str:
        """Return the normalized address of a file that may be read.

        An https address of S3 becomes `s3://` if only that is allowed, and the reverse.

        Raises:
            SceneError: The address is invalid or outside the sources.
        """
        return self.resolve(address)[0]

    def access(self, address: str) -> BucketAccess:
        """Return how to read a file.

        Raises:
            SceneError: The address is invalid or outside the sources.
        """
        return self.resolve(address)[1]

    def configure_access(self, uri: str) -> None:
        """Have this process read a scene as its source says; no request is made.

        Outside the sources nothing changes: who drops or names a scene may have it read.

        A key may have parts that no source has, such as `..`: S3 takes them as they are. Such a
        scene lies in no source.

        Args:
            uri: Address of the scene: a raster file, a document or a folder.
        """
        if not storage.is_s3(uri):
            return
        try:
            parsed = _parsed(uri)
        except SceneError:
            return
        access = next((one.access for one in self.sources if one.match(parsed)), None)
        if access is not None:
            storage.configure_access(uri, access)

    def resolve(self, address: str) -> tuple[str, BucketAccess]:
        """Return the normalized address of a file that may be read, and how to read it.

        Raises:
            SceneError: The address is invalid or outside the sources.
        """
        parsed = _parsed(address)
        if parsed.path.endswith("/") or not parsed.path:
            raise SceneError(f"{shown(parsed.text)} is a folder; give the address of a file")
        for source in self.sources:
            match = source.match(parsed)
            if match and (source.is_file or self._contains_target(match)):
                region = source.access.region or parsed.as_s3.region
                return match.text, BucketAccess(region, source.access.requester_pays)
        raise SceneError(_refusal(parsed))

    def _with(self, address: Address, *, is_file: bool) -> SceneSources:
        # Beside a file of a source lies more of that source, which is read in the same manner.
        known = (one.access for one in self.sources if one.match(address))
        return SceneSources((*self.sources, Source(address, next(known, DEFAULT_ACCESS), is_file)))

    def _contains_target(self, address: Address) -> bool:
        """Return whether the file to which a symbolic link points belongs to a source."""
        if address.scheme:
            return True
        target = replace(address, path=str(Path(address.path).resolve()))
        return any(source.match(target) for source in self.sources)


def _parsed(text: str) -> Address:
    """Parse an address; the folders of a local path are resolved, as in `storage.resolve`.

    Raises:
        SceneError: The address is invalid.
    """
    address = parse_address(text)
    if address.scheme or address.path.endswith("/"):
        return address
    path = Path(address.path)
    return replace(address, path=str(path.parent.resolve() / path.name))


def _refusal(address: Address) -> str:
    if not address.scheme:
        return (
            f"{shown(address.text)} lies outside the folder of the scene's document; allow its "
            "folder with --source, or move it beside the document"
        )
    return (
        f"{shown(address.text)} lies outside the allowed sources; add its prefix to the setting "
        "scene_sources, or locally with --source"
    )


def _parse_source(text: str) -> Source:
    prefix, _, query = text.partition("?")
    try:
        address = parse_address(prefix)
    except SceneError as error:
        raise SettingsError(f"scene_sources: {error}") from None
    access = _parse_options(prefix, query)
    if access != DEFAULT_ACCESS and address.scheme != "s3":
        raise SettingsError(
            f"scene_sources: {shown(text)} has options, which only s3:// sources have"
        )
    if address.scheme and not address.host:
        raise SettingsError(f"scene_sources: {shown(text)} names no bucket or host; add it")
    path = address.path
    if not address.scheme:
        path = str(Path(path).resolve())
    if path and not path.endswith("/"):
        path += "/"
    return Source(replace(address, path=path), access)


def _parse_options(prefix: str, query: str) -> BucketAccess:
    options = dict(parse_qsl(query, keep_blank_values=True))
    has_region = _REGION_OPTION in options
    region = options.pop(_REGION_OPTION, "")
    pays = options.pop(_PAYS_OPTION, "false").lower()
    if options or pays not in _BOOLEANS or (has_region and not _REGION.fullmatch(region)):
        raise SettingsError(
            f"scene_sources: {shown(prefix)} has the options {shown(query)!r}; an S3 source has "
            "region=NAME and requester_pays=true or false"
        )
    return BucketAccess(region, _BOOLEANS[pays])
