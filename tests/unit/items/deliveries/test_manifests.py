"""Paths of a manifest stay in its folder, and parts are what the manifest states."""

from datetime import UTC, datetime

import pytest

from swath.errors import SceneError
from swath.items.deliveries import manifests
from swath.items.deliveries.manifests import Manifest, Part, collect_parts, parse_size
from swath.storage import ListedObject

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MD5 = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "path",
    [
        *("../x.tif", "a/../../x.tif", "..", "a/..", ".", "a/./b", "/etc/passwd", "//x", ""),
        *("s3://other/x.tif", "https://x/y.tif", "file:///etc/passwd", "ZARR:x", "C:/x.tif"),
        *("a\\b", "a\nb", "a%2fb", "a%2e%2e", "a/", "x" * 3000),
    ],
)
def test_a_path_out_of_the_folder_is_refused_by_name(path):
    with pytest.raises(SceneError, match=r"^s3://b/m lists .*path") as caught:
        collect_parts("s3://b/m", [Part("fine.tif"), Part(path)])
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_a_path_that_goes_down_is_kept_once():
    parts = [Part("./a/b.tif", 3), Part("a/b.tif", 4), Part("ü ö+%.tif")]
    assert collect_parts("m", parts) == (Part("a/b.tif", 3), Part("ü ö+%.tif"))


def test_parts_are_counted_and_there_is_one_at_least(monkeypatch):
    monkeypatch.setattr(manifests, "MAX_PARTS", 3)
    assert len(collect_parts("m", (Part(f"{n}") for n in range(3)))) == 3
    with pytest.raises(SceneError, match="m lists more than 3 files"):
        collect_parts("m", (Part(f"{n}") for n in range(100_000)))
    with pytest.raises(SceneError, match="m lists no file"):
        collect_parts("m", [])


@pytest.mark.parametrize(
    ("part", "listed", "expected"),
    [
        (Part("a"), ListedObject("e", 3, NOW), True),
        (Part("a"), None, False),
        (Part("a", 3), ListedObject("e", 3, NOW), True),
        (Part("a", 4), ListedObject("e", 3, NOW), False),
        (Part("a", 3, MD5), ListedObject(MD5, 3, NOW), True),
        (Part("a", 3, MD5), ListedObject(MD5[::-1], 3, NOW), False),
        # An ETag of an upload in parts is no MD5 of the object.
        (Part("a", 3, MD5), ListedObject(MD5[::-1] + "-2", 3, NOW), True),
        (Part("a", 0), ListedObject("e", 0, NOW), True),
    ],
)
def test_a_part_matches_by_size_and_by_md5_where_both_are_known(part, listed, expected):
    assert part.matches(listed) is expected
    missing = Manifest("m", (part,)).missing({"a": listed} if listed else {})
    assert missing == ([] if expected else [part])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12", 12),
        ("0", 0),
        (None, None),
        ("", None),
        ("-1", None),
        ("1e3", None),
        ("9" * 30, None),
        ("²", None),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size
