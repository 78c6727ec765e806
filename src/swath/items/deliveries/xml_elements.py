"""Read elements of a producer's XML, which may be hostile, in bounded memory.

The parser is Python's expat without a tree: a manifest of 8 MiB becomes a tree of several hundred
MiB, and the functions that read manifests have 512 MiB. A document type declaration is refused when
it begins. Without it, XML has no entities but the five of its own, so nothing can be expanded or
requested. defusedxml refuses the same, but builds the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

import msgspec

from swath.errors import SceneError
from swath.items.addresses import shown

MAX_XML_BYTES = 8 << 20
"""Maximum size of an XML file; the largest of a Sentinel-2 product has about 0.6 MiB."""
MAX_XML_DEPTH = 100
"""Maximum depth of nested elements."""
MAX_XML_ELEMENTS = 200_000
"""Maximum number of elements that are kept."""


class XmlElement(msgspec.Struct):
    """Element of an XML file; names have no prefix of a namespace."""

    name: str
    parents: tuple[str, ...]
    """Names of the elements around this one, the outermost first."""
    attributes: dict[str, str]
    text: str = ""
    """Text of the element itself, without white space at its ends."""


def read_elements(content: bytes, uri: str, wanted: Callable[[str], Any]) -> list[XmlElement]:
    """Return the wanted elements, in the order in which they begin.

    Args:
        content: XML in an encoding that it declares.
        uri: Address of the file, for messages.
        wanted: Whether an element is wanted, by its name without a prefix of a namespace.

    Raises:
        SceneError: The file is not XML, is too large or too deep, or has a document type
            declaration.
    """
    if len(content) > MAX_XML_BYTES:
        raise SceneError(
            f"{shown(uri)} has {len(content) / 2**20:.1f} MiB; XML of a delivery has at most "
            f"{MAX_XML_BYTES >> 20} MiB"
        )
    collector = _Collector(uri, wanted)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = collector.refuse_document_type
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.add_text
    try:
        parser.Parse(content, True)  # noqa: FBT003 - has no name
    # expat raises LookupError for an encoding that Python does not know.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise SceneError(
            f"{shown(uri)} is not valid XML: {shown(str(error))}; deliver the file again"
        ) from None
    return collector.elements


class _Collector:
    """Handlers of expat's events, which keep the wanted elements."""

    def __init__(self, uri: str, wanted: Callable[[str], Any]) -> None:
        self.elements: list[XmlElement] = []
        self._uri = uri
        self._is_wanted = wanted
        self._open: list[str] = []
        self._wanted: list[tuple[int, XmlElement]] = []

    def refuse_document_type(self, *_: Any) -> None:
        raise SceneError(
            f"{shown(self._uri)} has a document type declaration, which can define entities; no "
            "producer's manifest has one: remove it"
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if self._is_wanted(name):
            if len(self.elements) == MAX_XML_ELEMENTS:
                raise self._excess(f"{MAX_XML_ELEMENTS:,} elements {shown(name)}")
            local = {key.rpartition(":")[2]: value for key, value in attributes.items()}
            element = XmlElement(name, tuple(self._open), local)
            self.elements.append(element)
            self._wanted.append((len(self._open), element))
        self._open.append(name)
        if len(self._open) > MAX_XML_DEPTH:
            raise self._excess(f"{MAX_XML_DEPTH} elements inside each other")

    def end(self, _: str) -> None:
        self._open.pop()
        if self._wanted and self._wanted[-1][0] == len(self._open):
            element = self._wanted.pop()[1]
            element.text = element.text.strip()

    def add_text(self, text: str) -> None:
        if self._wanted and self._wanted[-1][0] == len(self._open) - 1:
            self._wanted[-1][1].text += text

    def _excess(self, limit: str) -> SceneError:
        return SceneError(f"{shown(self._uri)} has more than {limit}; deliver the file again")
