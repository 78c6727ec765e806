"""Items whose addresses lead elsewhere: refused before any name is looked up or file is opened."""

import json

import pytest

from tests.helpers.dns_lookups import record_dns_lookups
from tests.helpers.packages import write_package

pytestmark = pytest.mark.timeout(300)

HREFS = [
    "https://evil.example/gray.tif",
    "https://169.254.169.254/latest/meta-data",
    "https://2130706433/gray.tif",
    "https://scenes@evil.example/gray.tif",
    "http://evil.example/gray.tif",
    "ftp://evil.example/gray.tif",
    "//evil.example/gray.tif",
    "s3://evil-bucket/gray.tif",
    "https://evil-bucket.s3.us-west-2.amazonaws.com/gray.tif",
    "/vsicurl/https://evil.example/gray.tif",
    "/vsis3/evil-bucket/gray.tif",
    "vsicurl/https://evil.example/gray.tif",
    "GTIFF_DIR:1:/vsicurl/https://evil.example/gray.tif",
    "WMS:https://evil.example/wms",
    "<VRTDataset/>",
    "file:///etc/hostname",
    "/etc/hostname",
    "../secret.tif",
    "link.tif",
    "item.json",
]
DETECT = """
import json, sys
from pathlib import Path
import swath
folder, package, *sources = sys.argv[1:]
model = swath.load_model(package)
for href in json.loads(Path(folder, "hrefs.json").read_text()):
    asset = {"href": href, "type": "image/tiff", "bands": [{"name": "gray"}]}
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": {}, "links": [
        {"rel": "self", "href": "https://evil.example/item.json"},
        {"rel": "collection", "href": "https://evil.example/collection.json"},
    ], "assets": {"gray": asset}}
    path = Path(folder, "item.json")
    path.write_text(json.dumps(item))
    for scene in (path, item):
        try:
            swath.detect(scene, model, sources=sources)
        except swath.SwathError as error:
            print(type(error).__name__, error)
        else:
            sys.exit(f"{href} was read")
"""


@pytest.fixture
def looked_up(tmp_path, make_scene):
    """Return a function that runs Items with such addresses, and returns the names looked up."""
    folder = tmp_path / "scene"
    folder.mkdir()
    # A scene that would be read if the folder were left.
    make_scene([[[1] * 40] * 40], name="secret.tif", names=["gray"])
    (folder / "link.tif").symlink_to(tmp_path / "secret.tif")
    package = write_package(tmp_path / "bright")

    def look_up(hrefs, *sources):
        (folder / "hrefs.json").write_text(json.dumps(hrefs))
        arguments = ["-c", DETECT, str(folder), str(package), *sources]
        return record_dns_lookups(arguments, tmp_path)

    return look_up


def test_no_address_outside_the_sources_is_asked_for(looked_up):
    assert looked_up(HREFS, "https://good.example/") == []


def test_an_address_in_a_source_is_asked_for(looked_up):
    """Check that the test above could fail."""
    names = looked_up(["s3://evil-bucket/gray.tif"], "s3://evil-bucket/")
    assert any("evil-bucket" in name for name in names)
