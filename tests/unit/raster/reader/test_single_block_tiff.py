"""Tests of a block as a TIFF of its own: GDAL's pixels, read as strictly as those of any file."""

from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioError

from swath import storage
from swath.raster import gdal_env
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import read_layouts
from swath.raster.reader.block_schedule import CopyTarget
from swath.raster.reader.single_block_tiff import SingleBlockTiff

ROWS, COLS = 100, 130
ENCODINGS = ["jpeg", "lerc", "lzma"]


@pytest.fixture
def make_block(make_scene):
    """Return a function that writes a file.

    It returns the layout, a block's bytes and GDAL's pixels.
    """

    def make(**profile):
        y, x = np.mgrid[:ROWS, :COLS]
        pixels = np.stack([x, y, x + y]).astype("uint8")
        tiles = {"tiled": True, "blockxsize": 64, "blockysize": 48, "interleave": "pixel"}
        path = make_scene(pixels, **(tiles | profile))
        content = storage.read_bytes(path)
        with rasterio.open(path) as source:
            layout, _ = read_layouts(source, lambda at, length: content[at : at + length])
            window = rasterio.windows.Window(64, 48, 64, 48)
            expected = source.read(window=window)
        offset, length = layout.byte_ranges(range(1, 2), [0])[0, 0, 1].tolist()
        return layout, content[offset : offset + length], expected

    return make


def decoded(layout, content, samples):
    pixels = np.zeros(
        (len(samples), layout.block_height, layout.block_width), layout.dtype.newbyteorder("=")
    )
    targets = [CopyTarget(slice(0, layout.block_height), pixels)]
    SingleBlockTiff(layout, samples)(memoryview(content), targets, layout.block_height)
    return pixels


@pytest.mark.parametrize("endianness", ["LITTLE", "BIG"])
@pytest.mark.parametrize("compress", ENCODINGS)
@pytest.mark.parametrize("samples", [[0, 1, 2], [2, 0]])
def test_a_block_has_gdal_s_pixels(make_block, compress, samples, endianness):
    layout, content, expected = make_block(compress=compress, endianness=endianness)
    rows = expected.shape[1]

    got = decoded(layout, content, samples)

    np.testing.assert_array_equal(got[:, :rows], expected[samples])


@pytest.mark.parametrize(
    "profile", [{"compress": "jpeg", "interleave": "band"}, {"compress": "zstd"}]
)
def test_what_a_block_alone_does_not_suffice_for_is_refused(make_block, profile):
    layout, _, _ = make_block(**profile)

    with pytest.raises(UnsupportedLayoutError, match="which only GDAL knows"):
        SingleBlockTiff(layout, [0])


@pytest.mark.parametrize("compress", ENCODINGS)
def test_a_block_that_is_cut_short_is_refused(make_block, compress):
    layout, content, _ = make_block(compress=compress)

    for length in (len(content) // 2, len(content) - 40):
        with pytest.raises((UnsupportedLayoutError, RasterioError)):
            decoded(layout, content[:length], [0, 1, 2])


def test_settings_of_the_process_make_no_reading_lenient(make_block, monkeypatch):
    layout, content, _ = make_block(compress="jpeg")
    monkeypatch.setenv("GDAL_ERROR_ON_LIBJPEG_WARNING", "FALSE")
    seen = []

    @contextmanager
    def raise_warnings():
        seen.append({name: rasterio.env.getenv().get(name) for name in gdal_env.STRICT_OPTIONS})
        yield

    monkeypatch.setattr(gdal_env, "raise_warnings", raise_warnings)
    decoded(layout, content, [0])

    assert seen == [gdal_env.STRICT_OPTIONS]
