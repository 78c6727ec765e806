import pytest

from swath.items.deliveries.kinds import choose_manifest, is_marker, is_raster, manifest_kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/manifest.safe", "safe"),
        ("LC09_L2SP_1_MTL.txt", "landsat"),
        ("x/LE07_L1TP_MTL.json", "landsat"),
        ("LT05_x_MTL.xml", "landsat"),
        ("manifest.json", "planet"),
        ("my_MTL.txt", None),
        ("manifest.json.bak", None),
        ("x.tif", None),
    ],
)
def test_manifests_are_known_by_name(path, kind):
    assert manifest_kind(path) == kind


def test_the_manifest_of_a_folder_is_the_same_in_whatever_order_its_files_are_listed():
    paths = [
        "manifest.json",
        "LC09_x_MTL.json",
        "LC09_x_MTL.xml",
        "LC09_x_MTL.txt",
        "a/manifest.safe",
    ]
    assert choose_manifest(paths) == choose_manifest(paths[::-1]) == "LC09_x_MTL.txt"
    assert choose_manifest([*paths, "manifest.safe"]) == "manifest.safe"
    assert choose_manifest(["a/manifest.safe", "x.tif"]) == ""


@pytest.mark.parametrize("path", ["x.done", "a/b.DONE", "_SUCCESS", "a/_SUCCESS", ".done"])
def test_markers(path):
    assert is_marker(path)


@pytest.mark.parametrize("path", ["done", "x.done.tif", "_success", "x_SUCCESS"])
def test_no_markers(path):
    assert not is_marker(path)


def test_rasters():
    assert [is_raster(p) for p in ("a.TIF", "b.jp2", "c.xml", "tif")] == [True, True, False, False]
