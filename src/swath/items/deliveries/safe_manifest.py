"""Read `manifest.safe`, the list of files of a product in ESA's format SAFE.

https://sentiwiki.copernicus.eu/web/safe-format
"""

from __future__ import annotations

from collections.abc import Iterator

from swath.items.deliveries.manifests import Manifest, Part, collect_parts, parse_size
from swath.items.deliveries.xml_elements import XmlElement, read_elements

MANIFEST_NAME = "manifest.safe"
_OBJECT, _LOCATION, _CHECKSUM = "byteStream", "fileLocation", "checksum"


def parse_safe_manifest(content: bytes, uri: str) -> Manifest:
    """Return the files of a SAFE folder.

    Args:
        content: Content of `manifest.safe`.
        uri: Address of the manifest.

    Raises:
        SceneError: The manifest is not valid, or lists files outside of the folder.
    """
    elements = read_elements(content, uri, {_OBJECT, _LOCATION, _CHECKSUM}.__contains__)
    return Manifest(uri, collect_parts(uri, _parts(elements)))


def _parts(elements: list[XmlElement]) -> Iterator[Part]:
    """Yield a part for each object: its location and its checksum follow its own element."""
    size: int | None = None
    path = md5 = ""
    for element in elements:
        if element.name == _OBJECT:
            if path:
                yield Part(path, size, md5)
            size, path, md5 = parse_size(element.attributes.get("size")), "", ""
        elif element.name == _LOCATION:
            path = element.attributes.get("href", "")
        elif element.attributes.get("checksumName", "").upper() == "MD5":
            md5 = element.text.lower()
    if path:
        yield Part(path, size, md5)
