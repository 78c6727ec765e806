"""The sources in which the files of scenes may lie."""

import hypothesis
import hypothesis.strategies as st
import pytest

from swath.errors import SceneError, SettingsError
from swath.items import SceneSources
from swath.storage import BucketAccess
from tests.helpers.fuzzing import draws

SOURCES = SceneSources.parse(
    [
        "s3://scenes/incoming/",
        "s3://usgs-landsat/?requester_pays=true&region=us-west-2",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/cogs",
        "https://tiles.example:8443/",
        "https://192.0.2.7/",
    ]
)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("s3://scenes/incoming/a.tif", "s3://scenes/incoming/a.tif"),
        ("s3://usgs-landsat/x/a.TIF", "s3://usgs-landsat/x/a.TIF"),
        (
            "https://usgs-landsat.s3.us-west-2.amazonaws.com/x/a.TIF",
            "s3://usgs-landsat/x/a.TIF",
        ),
        ("https://s3-us-west-2.amazonaws.com/usgs-landsat/a.TIF", "s3://usgs-landsat/a.TIF"),
        (
            "s3://sentinel-cogs/cogs/a.tif",
            "https://sentinel-cogs.s3.us-west-2.amazonaws.com/cogs/a.tif",
        ),
        ("https://tiles.example:8443/a.tif", "https://tiles.example:8443/a.tif"),
        ("https://192.0.2.7/a.tif", "https://192.0.2.7/a.tif"),
    ],
)
def test_addresses_in_a_source_are_allowed(address, allowed):
    assert SOURCES.check(address) == allowed


@pytest.mark.parametrize(
    "address",
    [
        "s3://scenes/incoming-elsewhere/a.tif",
        "s3://scenes/a.tif",
        "s3://Scenes/incoming/a.tif",
        "s3://scenes.evil/incoming/a.tif",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/cogs2/a.tif",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/other/a.tif",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com.evil.example/cogs/a.tif",
        "https://evil.example/https://tiles.example:8443/a.tif",
        "https://tiles.example/a.tif",
        "https://tiles.example:444/a.tif",
        "https://localhost/a.tif",
        "https://127.0.0.1/a.tif",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/a.tif",
        "https://0x7f.1/a.tif",
        "https://192.0.2.8/a.tif",
        "/etc/passwd",
        "/data/a.tif",
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(SceneError, match="lies outside"):
        SOURCES.check(address)


@pytest.mark.parametrize("address", ["s3://scenes/incoming/", "https://192.0.2.7/", "s3://scenes"])
def test_a_folder_is_no_file(address):
    with pytest.raises(SceneError, match="is a folder"):
        SOURCES.check(address)


def test_access_is_that_of_the_source():
    assert SOURCES.access("s3://usgs-landsat/a.TIF") == BucketAccess(
        "us-west-2", requester_pays=True
    )
    assert SOURCES.access("s3://scenes/incoming/a.tif") == BucketAccess()


def test_a_region_in_the_address_is_used_if_the_source_has_none():
    sources = SceneSources.parse(["s3://cogs/"])
    address = "https://cogs.s3.eu-central-1.amazonaws.com/a.tif"
    assert sources.resolve(address) == ("s3://cogs/a.tif", BucketAccess("eu-central-1"))


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("http://example.com/", "scheme"),
        ("file:///data/", "scheme"),
        ("scenes", "not an absolute address"),
        ("https://user@example.com/", "a user or a password"),
        ("s3://scenes/../", ". or .. as a part"),
        ("s3://scenes/?region=eu_west", "has the options 'region=eu_west'"),
        ("s3://scenes/?requester_pays=perhaps", "options"),
        ("s3://scenes/?owner=1", "options"),
        ("s3://scenes/?region", "options"),
        ("https://example.com/?region=eu-west-1", "only s3:// sources have"),
        ("s3:///", "bucket name"),
    ],
)
def test_an_invalid_source_is_refused(prefix, reason):
    with pytest.raises(SettingsError, match="scene_sources") as caught:
        SceneSources.parse([prefix])
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("document", "inside", "outside"),
    [
        ("s3://other/a/item.json", "s3://other/a/b/c.tif", "s3://other/ab/c.tif"),
        ("s3://other/item.json", "s3://other/b/c.tif", "s3://another/c.tif"),
        ("https://h.example/a/item.json", "https://h.example/a/c.tif", "https://h.example/c.tif"),
    ],
)
def test_what_lies_beside_the_document_is_allowed(document, inside, outside):
    sources = SceneSources().with_folder(document)
    assert sources.check(inside) == inside
    with pytest.raises(SceneError, match="outside the allowed sources"):
        sources.check(outside)


def test_a_document_in_a_source_is_read_as_the_source():
    sources = SOURCES.with_folder("s3://usgs-landsat/x/item.json")
    assert sources.access("s3://usgs-landsat/x/a.TIF").requester_pays


def test_local_folders_and_files(tmp_path):
    (tmp_path / "scene").mkdir()
    (tmp_path / "elsewhere").mkdir()
    sources = SceneSources().with_folder(f"{tmp_path}/scene/item.json")
    assert sources.check(f"{tmp_path}/scene/a.tif") == f"{tmp_path}/scene/a.tif"
    with pytest.raises(SceneError, match="--source"):
        sources.check(f"{tmp_path}/elsewhere/a.tif")
    named = sources.with_files([f"{tmp_path}/elsewhere/a.tif"])
    assert named.check(f"{tmp_path}/elsewhere/a.tif")
    with pytest.raises(SceneError, match="--source"):
        named.check(f"{tmp_path}/elsewhere/b.tif")
    assert SceneSources.parse([f"{tmp_path}/elsewhere"]).check(f"{tmp_path}/elsewhere/b.tif")


def test_a_link_out_of_the_folder_is_refused_unless_its_target_is_allowed(tmp_path):
    (tmp_path / "scene").mkdir()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.tif").touch()
    (tmp_path / "scene" / "a.tif").symlink_to(tmp_path / "archive" / "a.tif")
    (tmp_path / "scene" / "b").symlink_to(tmp_path / "archive")
    beside = SceneSources().with_folder(f"{tmp_path}/scene/item.json")
    for path in ("a.tif", "b/a.tif"):
        with pytest.raises(SceneError, match="--source"):
            beside.check(f"{tmp_path}/scene/{path}")
    archive = SceneSources.parse([f"{tmp_path}/archive"]).with_folder(f"{tmp_path}/scene/i.json")
    assert archive.check(f"{tmp_path}/scene/a.tif") == f"{tmp_path}/scene/a.tif"


PARTS = st.text(st.sampled_from("ab/.%2eF@:\\?#"), min_size=1, max_size=12)


@pytest.mark.fuzz
@hypothesis.settings(max_examples=draws(300, fuzz=10_000))
@hypothesis.given(st.sampled_from(["s3://b/a/", "https://b.example/a/"]), PARTS, PARTS)
def test_an_allowed_address_lies_below_its_source(source, before, after):
    sources = SceneSources.parse([source])
    scheme, _, rest = source.partition("//")
    for address in (source + after, f"{scheme}//{before}{rest}{after}", f"{scheme}//{before}"):
        try:
            allowed = sources.check(address)
        except SceneError:
            continue
        assert allowed.startswith(source)
        assert len(allowed) > len(source)
        assert not {".", ".."} & set(allowed.split("/"))


@pytest.mark.parametrize("key", ["a/../b.tif", "a/./b.tif", "a%2Fb.tif", "a\\b.tif", "k" * 1025])
def test_a_scene_with_a_key_that_no_source_has_is_in_no_source(key):
    sources = SceneSources.parse(["s3://bucket/?requester_pays=true"])

    sources.configure_access(f"s3://bucket/{key}")
