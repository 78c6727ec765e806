import pytest

from swath.pipeline.deliveries.keys import parse_delivery_key


@pytest.mark.parametrize(
    ("key", "folder", "model", "path", "marker"),
    [
        ("x/a.tif", "x", "", "a.tif", False),
        ("x/y/a.tif", "x", "", "y/a.tif", False),
        ("ships/x/a.tif", "ships/x", "ships", "a.tif", False),
        ("other/x/a.tif", "other", "", "x/a.tif", False),
        ("other/X.SAFE/manifest.safe", "other/X.SAFE", "other", "manifest.safe", False),
        ("other/X.safe.done", "other/X.safe", "other", "", True),
        ("X.SAFE/GRANULE/Y.SAFE/a", "X.SAFE", "", "GRANULE/Y.SAFE/a", False),
        ("X.SAFE/Y.SAFE/a", "X.SAFE", "", "Y.SAFE/a", False),
        ("x.done", "x", "", "", True),
        ("ships/x.DONE", "ships/x", "ships", "", True),
        ("x/_SUCCESS", "x", "", "_SUCCESS", True),
        ("x/y/_SUCCESS", "x", "", "y/_SUCCESS", False),
        ("other/x.done", "other", "", "x.done", True),
        ("a b+ü/%25.tif", "a b+ü", "", "%25.tif", False),
    ],
)
def test_parts_of_a_key(key, folder, model, path, marker):
    parsed = parse_delivery_key("b", f"deliveries/{key}", prefix="deliveries/", models={"ships"})
    assert parsed.folder == f"s3://b/deliveries/{folder}"
    assert (parsed.model, parsed.path, parsed.is_marker) == (model, path, marker)


@pytest.mark.parametrize(
    "key", ["x.tif", "ships/x.tif", "", "x/", "ships/", "/a.tif", ".done", "_SUCCESS"]
)
def test_other_keys(key):
    parsed = parse_delivery_key("b", f"deliveries/{key}", prefix="deliveries/", models={"ships"})
    assert parsed is None
