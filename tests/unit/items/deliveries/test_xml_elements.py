"""Hostile XML is refused before it costs anything; what is read is what was written."""

import pytest

from swath.errors import SceneError
from swath.items.deliveries import xml_elements
from swath.items.deliveries.xml_elements import read_elements


def read(text, *names):
    return read_elements(
        text if isinstance(text, bytes) else text.encode(), "s3://b/m.xml", {*names}.__contains__
    )


def test_elements_have_their_parents_attributes_and_own_text():
    found = read('<n:a xmlns:n="u"><b n:id="1"> x <c>y</c> z </b><c/></n:a>', "b", "c")
    assert [(e.name, e.parents, e.attributes, e.text) for e in found] == [
        ("b", ("a",), {"id": "1"}, "x  z"),
        ("c", ("a", "b"), {}, "y"),
        ("c", ("a",), {}, ""),
    ]


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://169.254.169.254/"> %x;]><a/>',
        '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><l>&c;</l>',
    ],
)
def test_a_document_type_is_refused_whatever_it_defines(document):
    with pytest.raises(SceneError, match=r"s3://b/m\.xml has a document type declaration"):
        read(document, "a", "l")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no xml",
        b"<a>",
        b"<a>&undefined;</a>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="x-nowhere"?><a/>',
    ],
)
def test_what_is_no_xml_is_named(document):
    with pytest.raises(
        SceneError, match=r"s3://b/m\.xml is not valid XML: .*deliver the file again"
    ):
        read(document, "a")


def test_depth_elements_and_bytes_are_bounded(monkeypatch):
    deep = "<a>" * 101
    with pytest.raises(SceneError, match="more than 100 elements inside each other"):
        read(deep, "b")
    monkeypatch.setattr(xml_elements, "MAX_XML_ELEMENTS", 3)
    assert len(read("<r><a/><a/><a/></r>", "a")) == 3
    with pytest.raises(SceneError, match="more than 3 elements a"):
        read("<r><a/><a/><a/><a/></r>", "a")
    monkeypatch.setattr(xml_elements, "MAX_XML_BYTES", 10)
    with pytest.raises(SceneError, match="at most 0 MiB"):
        read("<aaaaaaaaa/>", "a")
