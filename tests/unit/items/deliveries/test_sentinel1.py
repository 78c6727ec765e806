import pytest

from swath.errors import SceneError
from swath.items import read_item

NAME = "S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8"


def test_a_real_manifest(data):
    scene = read_item(str(data / "items/safe_skeletons/grd" / f"{NAME}.SAFE"))
    assert scene.scene_id == f"sentinel-1-grd/{NAME}"
    assert [a.key for a in scene.assets] == ["vh", "vv"]
    assert all(a.href.endswith(".tiff") and a.bands[0].scale is None for a in scene.assets)
    assert scene.acquisition.platform == "sentinel-1a"
    # The middle of the 25 s that the satellite took.
    assert scene.acquisition.acquired_at == "2021-08-09T17:40:05.653288Z"


def manifest(kind, *images):
    objects = "".join(
        f'<byteStream size="3"><fileLocation href="./measurement/{image}"/></byteStream>'
        for image in images
    )
    return f"<X><productType>{kind}</productType>{objects}</X>".encode()


@pytest.mark.parametrize(
    ("kind", "images", "message"),
    [
        ("SLC", ["s1a-iw1-slc-vv-1.tiff"], "of the type SLC; swath reads GRD"),
        ("GRD", ["s1a-iw-grd-vv-1.tiff", "s1a-iw-grd-vv-2.tiff"], "several images of one"),
    ],
)
def test_other_products_are_refused(tmp_path, kind, images, message):
    (tmp_path / "manifest.safe").write_bytes(manifest(kind, *images))
    with pytest.raises(SceneError, match=message):
        read_item(str(tmp_path))


def test_a_safe_folder_of_another_mission_is_refused_with_a_remedy(tmp_path):
    content = b'<X><byteStream size="1"><fileLocation href="a.nc"/></byteStream></X>'
    (tmp_path / "manifest.safe").write_bytes(content)
    with pytest.raises(SceneError, match=r"neither a Sentinel-1 nor .* NAME\.done"):
        read_item(str(tmp_path))
