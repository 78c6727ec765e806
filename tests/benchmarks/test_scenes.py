import numpy as np
import pytest
import rasterio

from benchmarks import scenes
from benchmarks.scenes import SceneSpec, make_scene
from benchmarks.texture import BAND_ROWS, Landscape
from benchmarks.virtual import BLOCK_SIZE, VirtualScene
from swath import storage
from swath.raster.scene import open_scene


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "CACHE_FOLDER", tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kind", ["rgb8", "ms16"])
def test_a_landscape_is_the_same_however_it_is_drawn(kind):
    whole = np.concatenate(list(Landscape(kind, 700).iter_bands(BAND_ROWS + 30)))
    assert whole.shape[:2] == (BAND_ROWS + 30, 700)
    np.testing.assert_array_equal(whole[BAND_ROWS:], Landscape(kind, 700).draw_band(1)[:30])
    assert (Landscape(kind, 700, seed=2).draw_band(1)[:30] != whole[BAND_ROWS:]).mean() > 0.5


def test_no_seam_shows_where_bands_of_rows_meet():
    drawn = np.concatenate(list(Landscape("rgb8", 512).iter_bands(2 * BAND_ROWS))).astype(float)
    steps = np.abs(np.diff(drawn[..., 0], axis=0)).mean(axis=1)
    assert steps[BAND_ROWS - 1] < steps.mean() + 4 * steps.std()


def test_a_scene_is_a_cog_that_holds_what_was_drawn(cache):
    path = make_scene("rgb8", 1100, "zstd")
    with rasterio.open(path) as scene:
        assert scene.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert scene.block_shapes[0] == (512, 512)
        assert scene.overviews(1)
        expected = np.concatenate(list(Landscape("rgb8", 1100).iter_bands(1100)))
        np.testing.assert_array_equal(scene.read(), np.moveaxis(expected, -1, 0))


def test_a_scene_is_drawn_once(cache, monkeypatch):
    path = make_scene("ms16", 512, "deflate")
    monkeypatch.setattr(scenes, "_write_uncompressed", None)
    assert make_scene("ms16", 512, "deflate") == path
    assert path.parent.parent == cache
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_compression_is_another_file():
    assert len({SceneSpec("rgb8", 8, c).path for c in ("deflate", "zstd")}) == 2


@pytest.mark.parametrize("kind", ["rgb8", "ms16"])
def test_a_virtual_scene_is_read_by_rasterio_as_it_is_meant(kind, tmp_path):
    virtual = VirtualScene(1600, 1100, kind, collar=0.5)
    path = virtual.write(tmp_path / "virtual.tif")
    blocks, pattern = virtual.blocks(), virtual.pattern()
    assert (pattern < 0).any()
    with rasterio.open(path) as scene:
        assert scene.crs.to_epsg() == 32631
        assert scene.nodata == 0
        pixels = np.moveaxis(scene.read(), 0, -1)
    for row, column in np.ndindex(pattern.shape):
        found = pixels[
            row * BLOCK_SIZE : (row + 1) * BLOCK_SIZE,
            column * BLOCK_SIZE : (column + 1) * BLOCK_SIZE,
        ]
        block_index = pattern[row, column]
        expected = (
            blocks[block_index][: found.shape[0], : found.shape[1]] if block_index >= 0 else 0
        )
        np.testing.assert_array_equal(found, expected)


def test_a_virtual_scene_of_any_size_takes_a_few_mb_and_swath_opens_it(tmp_path):
    path = VirtualScene(200_000, 200_000).write(tmp_path / "huge.tif")
    assert path.stat().st_size < 10e6
    with open_scene(str(path), etag=storage.etag(str(path))) as scene:
        assert (scene.info.width, scene.info.height, scene.info.masked) == (200_000, 200_000, True)
        pixels, valid = scene.read((150_000, 150_000, 64, 64), [1, 2, 3])
        assert valid.all()
        assert pixels.std() > 1
        assert not scene.read_valid((0, 0, 64, 64), [1, 2, 3]).any()
