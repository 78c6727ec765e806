"""Tests of scenes on an https server: what GDAL sees, what is requested, and what is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from urllib3.util.retry import Retry

from swath.errors import SceneChangedError, SceneError, TransientError
from swath.raster import gdal_env, gdal_opener
from swath.raster.dataset import open_dataset
from swath.raster.files import gdal_files
from swath.raster.reader import read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.rasters import NORTH_UP, UTM

NOISE = np.random.default_rng(0).integers(0, 255, (2, 700, 900), "uint8")
GRID = Grid(900, 700, 256, 32)
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256}
LOSSLESS = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": True} | {
    "blockxsize": 256,
    "blockysize": 256,
}


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)


@pytest.fixture
def put(https_archive, make_scene):
    """Stores a scene of that profile, and gives its address."""

    def put(pixels=NOISE, name="a b/x.tif", **profile):
        file = "local.jp2" if profile.get("driver") == "JP2OpenJPEG" else "local.tif"
        content = Path(make_scene(pixels, name=file, **profile)).read_bytes()
        return https_archive.put(name, content).replace(" ", "%20")

    return put


PROFILES = {
    "deflate": {"compress": "deflate", **TILED},
    "strips": {"compress": "lzw"},
    "lerc, which GDAL decodes": {"compress": "lerc", **TILED},
    "JPEG 2000": LOSSLESS,
    "NITF": {"driver": "NITF", "ICORDS": "N"},
}


@pytest.mark.parametrize("profile", PROFILES)
def test_pixels_are_those_of_the_file(put, https_archive, profile):
    uri = put(**PROFILES[profile])

    with open_scene(uri) as scene:
        pixels, valid = scene.read((300, 100, 400, 500), [2, 1])
        np.testing.assert_array_equal(pixels, NOISE[::-1, 100:600, 300:700])
        assert valid.all()
        assert str(scene.info.crs) == UTM
        tiles = list(read_tiles(scene, GRID, [1, 2], range(GRID.count), threads=3))
    assert len(tiles) == GRID.count
    for read in tiles:
        x, y, width, height = read.tile.window
        assert read.error is None
        np.testing.assert_array_equal(read.pixels, NOISE[:, y : y + height, x : x + width])
    assert {name for name, _ in https_archive.asked} == {"a b/x.tif", "a b/x.tif.msk"}
    assert [name for name, _ in https_archive.asked].count("a b/x.tif.msk") == 1


def test_a_header_takes_one_request_and_each_block_one_more(put, https_archive):
    uri = put(compress="deflate", **TILED)

    with open_scene(uri) as scene:
        assert len(https_archive.requests) == 2
        list(read_tiles(scene, Grid(900, 700, 256, 0), [1, 2], [0]))

    assert len(https_archive.requests) == 3


def test_a_mask_beside_it_counts_and_keeps_the_query(put, https_archive):
    uri = put()
    put(np.zeros((1, 700, 900), "uint8"), name="a b/x.tif.msk")

    with open_scene(f"{uri}?signature=1") as scene:
        assert not scene.read((0, 0, 10, 10), [1])[1].any()


@pytest.mark.parametrize("profile", ["deflate", "JPEG 2000"])
def test_no_pixel_of_another_version_is_ever_read(put, profile):
    uri = put(**PROFILES[profile])

    with open_scene(uri) as scene:
        put(NOISE[:, ::-1], **PROFILES[profile])
        with pytest.raises(SceneChangedError, match="replaced"):
            scene.read((0, 0, 900, 700), [1])
        with pytest.raises(SceneChangedError, match="replaced"):
            list(read_tiles(scene, GRID, [1, 2], [GRID.count - 1]))


def test_another_version_is_refused_by_etag(put):
    uri = put()

    with pytest.raises(SceneChangedError, match="replaced"), open_scene(uri, etag="other"):
        pass


def test_a_failed_read_can_be_repeated(put, https_archive):
    uri = put(**LOSSLESS)
    with open_scene(uri) as scene:
        https_archive.fault = lambda handler: not handler.answer(503, {}, b"")
        with pytest.raises(TransientError, match="503"):
            scene.read((0, 0, 900, 700), [1])
        https_archive.fault = None

        np.testing.assert_array_equal(scene.read((0, 0, 900, 700), [1])[0][0], NOISE[0])


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"text", "GeoTIFF")])
def test_what_is_no_raster_is_refused(https_archive, content, reason):
    uri = https_archive.put("x.tif", content)

    with pytest.raises(SceneError, match=reason) as caught, open_scene(uri):
        pass
    assert "vsi" not in str(caught.value)


def test_a_file_that_does_not_exist(https_archive):
    uri = https_archive.address("none.tif")

    with pytest.raises(SceneError, match="there is no scene"), open_scene(uri):
        pass


def test_files_that_a_scene_names_are_not_opened(https_archive, put):
    put(name="target.tif")
    for target in ("/vsicurl/{}", "{}"):
        uri = https_archive.put("x.tif", vrt(target.format(https_archive.address("target.tif"))))
        https_archive.requests.clear()
        with pytest.raises(SceneError, match="cannot be opened"), open_scene(uri):
            pass
        assert {name for name, _ in https_archive.asked} == {"x.tif", "x.tif.msk"}


def vrt(target):
    return f"""<VRTDataset rasterXSize="900" rasterYSize="700"><VRTRasterBand dataType="Byte"
        band="1"><SimpleSource><SourceFilename>{target}</SourceFilename></SimpleSource>
        </VRTRasterBand></VRTDataset>""".encode()


def test_gdal_never_opens_an_https_address_itself():
    with pytest.raises(ValueError, match="may not open"):
        gdal_env.path("https://example.com/x.tif")


def test_many_threads_open_read_and_close(put):
    uris = [put(name=f"{name}.tif", **PROFILES[name]) for name in ("deflate", "JPEG 2000")]
    start = threading.Barrier(6)

    def work(number):
        start.wait()
        for turn in range(3):
            with open_dataset(uris[(number + turn) % 2]) as dataset:
                window = rasterio.windows.Window(200, 200, 300, 300)
                np.testing.assert_array_equal(
                    dataset.read(window, [1])[0], NOISE[0, 200:500, 200:500]
                )

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_a_dataset_may_be_closed_in_another_thread(put):
    opened = open_dataset(put(**LOSSLESS))
    dataset = opened.__enter__()
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(dataset.read, rasterio.windows.Window(0, 0, 10, 10), [1])
        assert read.result().shape == (1, 10, 10)
        pool.submit(opened.__exit__, None, None, None).result()


def test_an_opener_of_the_caller_stays_usable(put, make_scene):
    path = make_scene(NOISE, name="own.tif")
    with rasterio.open(path, opener=open) as own, open_scene(put()) as scene:
        scene.read((0, 0, 10, 10), [1])
        np.testing.assert_array_equal(own.read(), NOISE)


def test_gdal_may_write_nothing(put):
    shape = {"width": 1, "height": 1, "count": 1, "dtype": "uint8", "transform": NORTH_UP}
    with (
        open_dataset(put()) as dataset,
        gdal_opener.reachable(),
        pytest.raises(Exception, match=r"failed|refused|denied|exist"),
    ):
        rasterio.open(dataset.source.path, "w", driver="GTiff", **shape)


class TestPiecewiseFile:
    @pytest.fixture
    def content(self):
        return np.random.default_rng(1).bytes(gdal_files.PIECE_BYTES * 20 + 17)

    @pytest.fixture
    def fetched(self):
        return []

    @pytest.fixture
    def file(self, content, fetched):
        class Source:
            def read(self, offset, length):
                fetched.append((offset, length))
                return content[offset : offset + length]

        return gdal_files.PiecewiseFile(Source(), len(content), ((0, content[:100]),), [])

    def test_reads_what_the_file_has_anywhere(self, file, content):
        rng = np.random.default_rng(2)
        for offset, size in rng.integers(0, len(content), (200, 2)):
            file.seek(int(offset))
            assert file.read(int(size)) == content[offset : offset + size]
            assert file.tell() == min(len(content), offset + size)

    def test_a_known_header_is_not_fetched(self, file, content, fetched):
        assert file.read(100) == content[:100]
        assert not fetched

    def test_sequential_reads_fetch_ahead(self, file, content, fetched):
        read = b"".join(iter(lambda: file.read(10_000), b""))

        assert read == content
        assert len(fetched) < 8

    def test_the_cache_is_bounded(self, file, monkeypatch, content):
        monkeypatch.setattr(gdal_files, "CACHE_BYTES", 3 * gdal_files.PIECE_BYTES)
        while file.read(100_000):
            pass

        assert len(file._pieces) <= 3
        file.seek(0, 2)
        assert file.tell() == len(content)
