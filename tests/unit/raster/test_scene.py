"""Tests of scenes: their metadata, their valid pixels, and their refusals."""

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath import storage
from swath.errors import SceneChangedError, SceneError, TransientError
from swath.raster.interpretation import select_bands
from swath.raster.scene import open_scene
from tests.helpers.rasters import NORTH_UP, real_files

RAMP = np.arange(1, 1 + 3 * 40 * 60, dtype="uint16").reshape(3, 40, 60)
WHOLE = (0, 0, 60, 40)


def read(path, window=WHOLE, bands=(1, 2, 3)):
    with open_scene(path) as scene:
        pixels, valid = scene.read(window, bands)
        np.testing.assert_array_equal(scene.read_valid(window, bands), valid)
    return pixels, valid


def refusal(path):
    """Return the reason why a scene is refused, which always has its path."""
    with pytest.raises(SceneError) as caught, open_scene(str(path)):
        pass
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("bands", [(1,), (3, 1)])
def test_floats_of_16_bits_are_read_as_float32_by_every_release_of_gdal(make_scene, bands):
    pixels = (np.arange(1, 1 + 3 * 40 * 60) / 8).reshape(3, 40, 60).astype("float32")
    path = make_scene(pixels.astype("float16").astype("float32"), nbits=16)

    with open_scene(str(path)) as scene:
        assert scene.info.dtype == "float32"
    found, _ = read(path, bands=bands)
    assert found.dtype == np.float32
    expected = pixels.astype("float16").astype("float32")[[band - 1 for band in bands]]
    np.testing.assert_array_equal(found, expected)


class TestInfo:
    def test_says_what_the_header_says(self, make_scene):
        path = make_scene(
            RAMP, names=["B02", "B03", "B04"], nodata=7, tiled=True, blockxsize=16, blockysize=32
        )

        with open_scene(path) as scene:
            info = scene.info

        assert (info.uri, info.width, info.height, info.count) == (path, 60, 40, 3)
        assert (info.dtype, info.band_names) == ("uint16", ("B02", "B03", "B04"))
        assert (info.nodata, info.masked, info.block_shape) == ((7, 7, 7), True, (32, 16))
        assert (info.crs.to_epsg(), info.transform) == (32633, NORTH_UP)
        assert (info.gcps, info.rpcs) == ((), False)

    def test_a_scene_without_nodata_or_mask_is_not_masked(self, make_scene):
        with open_scene(make_scene(RAMP)) as scene:
            assert not scene.info.masked

    def test_colors_are_told_apart_from_names(self, make_scene):
        path = make_scene(np.zeros((4, 8, 8), "uint8"), photometric="RGB", alpha="YES")

        with open_scene(path) as scene:
            assert scene.info.colors == ("red", "green", "blue", "alpha")
            assert scene.info.band_names == (None,) * 4


class TestRead:
    def test_reads_a_window_in_the_order_of_the_bands(self, make_scene):
        pixels, valid = read(make_scene(RAMP), window=(5, 7, 20, 10), bands=(3, 1))

        np.testing.assert_array_equal(pixels, RAMP[[2, 0], 7:17, 5:25])
        assert pixels.dtype == np.uint16
        assert valid.all()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
    @given(data=st.data())
    def test_any_window_is_what_the_array_has_there(self, make_scene, data):
        path = make_scene(RAMP, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
        x, y = data.draw(st.integers(0, 59)), data.draw(st.integers(0, 39))
        width, height = data.draw(st.integers(1, 60 - x)), data.draw(st.integers(1, 40 - y))

        pixels, _ = read(path, window=(x, y, width, height))

        np.testing.assert_array_equal(pixels, RAMP[:, y : y + height, x : x + width])

    @pytest.mark.parametrize("window", [(-1, 0, 5, 5), (56, 0, 5, 5), (0, 36, 5, 5), (0, 0, 0, 5)])
    def test_never_reads_beyond_the_scene(self, make_scene, window):
        with open_scene(make_scene(RAMP)) as scene:
            with pytest.raises(ValueError, match="60 x 40 px"):
                scene.read(window, [1])
            with pytest.raises(ValueError, match="60 x 40 px"):
                scene.read_valid(window, [1])


class TestValid:
    def test_a_pixel_is_valid_where_any_of_the_bands_read_is(self, make_scene):
        pixels = RAMP.copy()
        pixels[0, 0, :2] = pixels[1, 0, 1] = pixels[2, 0, 1] = 0
        path = make_scene(pixels, nodata=0)

        assert read(path)[1][0, :3].tolist() == [True, False, True]
        assert read(path, bands=[1])[1][0, :3].tolist() == [False, False, True]

    def test_nan_is_not_valid_with_or_without_a_nodata_value(self, make_scene):
        pixels = np.ones((1, 40, 60), "float32")
        pixels[0, 0, :3] = [np.nan, np.inf, -9999]

        assert read(make_scene(pixels), bands=[1])[1][0, :4].tolist() == [False, False, True, True]
        for nodata, expected in ((-9999, [False, False, False, True]), (np.nan, [False] * 2)):
            path = make_scene(pixels, nodata=nodata)
            assert read(path, bands=[1])[1][0, : len(expected)].tolist() == expected

    def test_a_nodata_value_written_in_too_few_digits_still_counts(self, make_scene):
        pixels = np.ones((1, 40, 60), "float32")
        pixels[0, 0, 0] = np.finfo("float32").min

        path = make_scene(pixels, nodata=-3.40282306e38)

        assert not read(path, bands=[1])[1][0, 0]

    def test_a_nodata_value_that_the_pixels_cannot_have_changes_nothing(self, make_scene):
        path = make_scene(RAMP)
        with rasterio.open(path, "r+") as target:
            target.update_tags(1, x="y")
            target.nodata = 65535

        assert read(path)[1].all()

    def test_a_mask_within_the_file_decides(self, make_scene):
        mask = np.full((40, 60), 255, "uint8")
        mask[3, 4] = 0

        np.testing.assert_array_equal(read(make_scene(RAMP, mask=mask))[1], mask > 0)

    def test_an_alpha_band_decides(self, make_scene):
        pixels = np.full((4, 40, 60), 200, "uint8")
        pixels[3, 3, 4] = 0
        path = make_scene(pixels, photometric="RGB", alpha="YES")

        valid = read(path)[1]

        assert not valid[3, 4]
        assert valid.sum() == valid.size - 1

    def test_a_mask_beside_the_file_decides(self, make_scene):
        path = make_scene(RAMP, nodata=1)
        mask = np.full((1, 40, 60), 255, "uint8")
        mask[0, 3, 4] = 0
        make_scene(mask, name="scene.tif.msk")

        np.testing.assert_array_equal(read(path)[1], mask[0] > 0)

    def test_a_mask_of_another_size_is_refused(self, make_scene):
        path = make_scene(RAMP)
        make_scene(np.ones((1, 4, 6), "uint8"), name="scene.tif.msk")

        assert "6 x 4 px" in refusal(path)

    @pytest.mark.parametrize("file", [f for f in real_files("scenes") if f.endswith(".tif")])
    def test_agrees_with_gdal_on_real_scenes(self, data, file):
        path = str(data / "scenes" / file)
        with rasterio.open(path) as source:
            expected = source.dataset_mask() > 0
            if source.dtypes[0].startswith("complex"):
                return
            finite = np.isfinite(source.read()).any(axis=0)

        with open_scene(path) as scene:
            info = scene.info
            bands = [b for b, color in enumerate(info.colors, 1) if color != "alpha"]
            valid = scene.read_valid((0, 0, info.width, info.height), bands)

        np.testing.assert_array_equal(valid, expected & finite)


class TestRefused:
    def test_no_file(self, tmp_path):
        assert "there is no scene" in refusal(tmp_path / "none.tif")

    @pytest.mark.parametrize("uri", ["/vsicurl/http://127.0.0.1:1/x.tif", "http://127.0.0.1:1/x"])
    def test_an_address_that_is_neither_s3_nor_a_file(self, uri):
        assert "there is no scene" in refusal(uri)

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "x.tif").touch()

        assert "is empty" in refusal(tmp_path / "x.tif")

    def test_a_text_file(self, tmp_path):
        (tmp_path / "x.tif").write_text("not a raster")

        assert "GeoTIFF, JPEG 2000 or NITF" in refusal(tmp_path / "x.tif")

    def test_a_file_that_names_other_files(self, make_scene, tmp_path):
        """Check a dropped VRT: it could make swath read any reachable file or address."""
        other = make_scene(RAMP)
        vrt = tmp_path / "x.tif"
        vrt.write_text(
            '<VRTDataset rasterXSize="60" rasterYSize="40">'
            "<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>"
            '<VRTRasterBand dataType="UInt16" '
            f'band="1"><SimpleSource><SourceFilename>{other}</SourceFilename></SimpleSource>'
            "</VRTRasterBand></VRTDataset>"
        )
        with rasterio.open(vrt) as source:
            assert source.driver == "VRT"

        assert "GeoTIFF" in refusal(vrt)

    @pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
    def test_complex_pixels(self, make_scene, dtype):
        path = make_scene(np.ones((1, 8, 8), "complex64"), dtype=dtype)

        assert "complex" in refusal(path)

    def test_pixels_of_a_type_that_models_do_not_take(self, make_scene):
        assert "int64" in refusal(make_scene(np.ones((1, 8, 8), "int64")))

    def test_blocks_too_large_to_decode(self, make_scene, monkeypatch):
        monkeypatch.setattr("swath.raster.dataset.MAX_BLOCK_BYTES", 1000)

        assert "gdal_translate -of COG" in refusal(make_scene(RAMP))

    def test_more_pixels_than_the_file_can_hold(self, make_scene):
        path = make_scene(np.ones((1, 1, 8), "uint8"), compress="deflate")
        content = bytearray(storage.read_bytes(path))
        at = content.index(b"\x01\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # tag 257: ImageLength, 1
        content[at + 8 : at + 10] = b"\xff\xff"
        storage.write_bytes(path, bytes(content))

        assert "8 x 65535 px in 1 bands" in refusal(path)

    def test_damage_is_told_with_its_place(self, data):
        path = str(data / "corrupt" / "read_error__rasterio__corrupt.tif")

        with (
            open_scene(path) as scene,
            pytest.raises(SceneError, match="at x 600, y 700") as caught,
        ):
            scene.read((600, 700, 100, 100), [1])

        assert path in str(caught.value)

    def test_damage_is_told_each_time_whatever_threads_gdal_is_given(self, data, monkeypatch):
        """Check GDAL's own threads, with which a second read of damaged data returns zeros."""
        monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")

        with open_scene(str(data / "corrupt" / "read_error__rasterio__corrupt.tif")) as scene:
            for _ in range(2):
                with pytest.raises(SceneError, match="at x 0, y 256"):
                    scene.read((0, 256, 1024, 512), [1, 2, 3])


class TestOnS3:
    KEY = "incoming/a b é+%41?.tif"

    @pytest.fixture
    def uri(self, http_bucket, make_scene):
        uri = storage.join(http_bucket, self.KEY)
        storage.copy(make_scene(RAMP), uri)
        return uri

    def replace(self, uri, make_scene):
        storage.copy(make_scene(np.zeros((1, 500, 500), "uint8"), name="other.tif"), uri)

    def test_is_read_in_place(self, uri):
        np.testing.assert_array_equal(read(uri)[0], RAMP)

    def test_a_mask_beside_it_counts(self, uri, make_scene):
        mask = np.zeros((1, 40, 60), "uint8")
        storage.copy(make_scene(mask, name="mask.tif"), f"{uri}.msk")

        assert not read(uri)[1].any()

    def test_a_replaced_object_is_not_taken_for_the_earlier_one(self, uri, make_scene):
        read(uri)
        self.replace(uri, make_scene)

        with open_scene(uri) as scene:
            assert scene.info.width == 500

    def test_a_replaced_object_is_refused_by_etag(self, uri, make_scene):
        etag = storage.etag(uri)
        self.replace(uri, make_scene)

        with pytest.raises(SceneChangedError, match="replaced"), open_scene(uri, etag=etag):
            pass

    def test_no_pixel_of_another_version_is_ever_read(self, http_bucket, make_scene):
        uri = storage.join(http_bucket, "x.tif")
        noise = np.random.default_rng(1).integers(0, 65535, (1, 600, 600), "uint16")
        storage.copy(make_scene(noise, tiled=True, blockxsize=256, blockysize=256), uri)

        with open_scene(uri) as scene:
            scene.read((0, 0, 10, 10), [1])
            storage.copy(make_scene(noise + 1, tiled=True, blockxsize=256, blockysize=256), uri)

            with pytest.raises(SceneChangedError, match="replaced"):
                scene.read((500, 500, 10, 10), [1])

    @pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"text", "GeoTIFF")])
    def test_what_is_no_raster_is_refused(self, http_bucket, content, reason):
        uri = storage.join(http_bucket, "x.tif")
        storage.write_bytes(uri, content)

        assert reason in refusal(uri)

    def test_no_object(self, http_bucket):
        assert "there is no scene" in refusal(storage.join(http_bucket, "none.tif"))

    def test_a_server_that_is_gone_is_no_fault_of_the_scene(
        self, make_scene, monkeypatch, doomed_server
    ):
        bucket, stop = doomed_server
        monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
        noise = np.random.default_rng(1).integers(0, 255, (1, 900, 900), "uint8")
        uri = storage.join(bucket, "x.tif")
        storage.copy(make_scene(noise), uri)
        with open_scene(uri) as scene:
            stop()
            with pytest.raises(TransientError, match=uri):
                scene.read((0, 800, 100, 100), [1])


class TestSelectBands:
    def select(self, make_scene, wanted, *, count=3, **options):
        with open_scene(make_scene(np.zeros((count, 8, 8), "uint8"), **options)) as scene:
            return select_bands(scene.info, wanted)

    def test_by_name_in_the_order_of_the_model(self, make_scene):
        names = ["B02", "B03", "B04"]

        assert self.select(make_scene, ["b04", "B02"], names=names) == [3, 1]

    def test_by_color(self, make_scene):
        wanted = ["blue", "green", "red"]

        assert self.select(make_scene, wanted, photometric="RGB") == [3, 2, 1]

    def test_by_position_where_none_has_a_name(self, make_scene):
        assert self.select(make_scene, ["a", "b", "c"]) == [1, 2, 3]

    def test_an_alpha_band_has_no_position(self, make_scene):
        options = {"count": 4, "photometric": "RGB", "alpha": "YES"}

        assert self.select(make_scene, ["a", "b", "c"], **options) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("wanted", "names", "told"),
        [
            (["a", "b", "c", "d", "e"], [], ["3 bands", "a, b, c, d, e"]),
            (["B08"], ["B02", "B03", "B04"], ["B02, B03, B04", "B08"]),
            (["x", "y", "z"], ["B02"], ["B02, (unnamed), (unnamed)", "x, y, z"]),
            (["B02"], ["B02", "B02"], ["B02, B02"]),
        ],
    )
    def test_refuses_to_guess(self, make_scene, wanted, names, told):
        with pytest.raises(SceneError) as caught:
            self.select(make_scene, wanted, names=names)

        for words in told:
            assert words in str(caught.value)
