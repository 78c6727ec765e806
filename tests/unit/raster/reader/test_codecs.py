"""Tests of codecs, data types, predictors, interleaving and byte orders: pixels equal GDAL's."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.raster.files.tiff_layout import ZSTD
from swath.raster.reader import codecs
from swath.raster.reader.codecs import Decoder
from tests.helpers.rasters import NORTH_UP
from tests.helpers.reading import assert_reads_same, watched

COLS, ROWS = 90, 70
LOSSLESS = ["none", "deflate", "zstd", "lzw", "packbits"]
PREDICTED = ["deflate", "zstd", "lzw"]
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32"]
FLOATS = ["float32", "float64"]


@pytest.fixture
def make_tiles(make_scene):
    """Return a function that writes smooth noise. Blocks of 32 x 48 px exceed the scene."""

    def make(dtype="uint8", count=3, **profile):
        rng = np.random.default_rng(5)
        smooth = np.cumsum(rng.integers(-3, 4, (count, ROWS, COLS)), axis=2)
        if np.dtype(dtype).kind == "f":
            pixels = (smooth / 7 + rng.normal(size=smooth.shape)).astype(dtype)
        else:
            pixels = (smooth * (np.iinfo(dtype).max // 200)).astype(dtype)
        options = {"tiled": True, "blockxsize": 48, "blockysize": 32, "interleave": "pixel"}
        return make_scene(pixels, **(options | profile))

    return make


def decoded_alike(path, **options):
    """Check that all blocks were decoded by swath, and that the pixels equal GDAL's."""
    with watched() as sources:
        assert_reads_same(path, size=40, overlap=8, **options)
    assert sources.names == {"GeoTiffBlocks"}
    assert not sources.alone
    return sources.made[0]


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("compress", LOSSLESS)
def test_lossless(make_tiles, compress, dtype, interleave):
    source = decoded_alike(make_tiles(dtype, compress=compress, interleave=interleave))

    assert isinstance(source._decoder, Decoder)


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_horizontal_predictor(make_tiles, dtype, interleave, order):
    options = {"compress": "deflate", "predictor": 2, "endianness": order}
    source = decoded_alike(make_tiles(dtype, interleave=interleave, **options))

    assert isinstance(source._decoder, Decoder)


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("compress", PREDICTED)
def test_floating_point_predictor(make_tiles, compress, dtype, interleave, order):
    options = {"compress": compress, "predictor": 3, "endianness": order}
    source = decoded_alike(make_tiles(dtype, interleave=interleave, **options))

    assert isinstance(source._decoder, Decoder)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_a_predictor_of_floating_point_is_not_undone_in_integers(make_tiles, dtype):
    """Check that swath leaves such a file to GDAL, which refuses it."""
    path = make_tiles(dtype, compress="deflate", predictor=2)
    content = Path(path).read_bytes()
    entry = struct.pack("<HHI", 317, 3, 1)
    assert content.count(entry + struct.pack("<H", 2)) == 1
    Path(path).write_bytes(
        content.replace(entry + struct.pack("<H", 2), entry + struct.pack("<H", 3))
    )

    assert_reads_same(path)


@pytest.mark.parametrize("compress", PREDICTED)
@pytest.mark.parametrize("bands", [[2], [3, 1], [1, 2], [2, 2], [3, 2, 1]])
@pytest.mark.parametrize("options", [{}, {"predictor": 2}, {"interleave": "band"}])
def test_bands_in_any_order(make_tiles, compress, bands, options):
    decoded_alike(make_tiles("uint16", compress=compress, **options), bands=bands)


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("compress", LOSSLESS)
def test_either_order_of_bytes(make_tiles, compress, order):
    decoded_alike(make_tiles("uint16", compress=compress, endianness=order))


@pytest.mark.parametrize("options", [{"bigtiff": "YES"}, {"copy_src_overviews": "NO"}])
def test_big_tiff(make_tiles, options):
    decoded_alike(make_tiles(compress="zstd", **options))


@pytest.mark.parametrize(
    ("here", "options"),
    [
        (False, {"count": 1, "compress": "jpeg"}),
        (False, {"compress": "jpeg", "photometric": "RGB"}),
        (False, {"compress": "jpeg", "photometric": "YCBCR"}),
        (True, {"compress": "webp"}),
        (True, {"compress": "webp", "webp_lossless": "YES"}),
        (True, {"count": 4, "compress": "webp"}),
        (False, {"compress": "lerc"}),
        (False, {"compress": "lerc_zstd", "dtype": "float32"}),
        (False, {"compress": "lzma", "predictor": 2}),
    ],
)
def test_other_encodings(make_tiles, here, options):
    """Check encodings that depend on a library's build: GDAL decodes them, one block at a time."""
    options = {"blockxsize": 48, "blockysize": 32} | options

    source = decoded_alike(make_tiles(**options))

    assert isinstance(source._decoder, Decoder) == here


def write_sparse(path, nodata, interleave):
    """Write a file with pixels in some of its blocks only."""
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32, "interleave": interleave}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=100,
        height=100,
        count=2,
        dtype="uint8",
        compress="deflate",
        sparse_ok="TRUE",
        nodata=nodata,
        crs="EPSG:4326",
        transform=NORTH_UP,
        **options,
    ) as target:
        target.write(np.full((2, 20, 20), 9, "uint8"), window=((40, 60), (40, 60)))


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_that_the_file_leaves_out(tmp_path, nodata, interleave):
    path = tmp_path / "x.tif"
    write_sparse(path, nodata, interleave)

    decoded_alike(path)


@pytest.mark.parametrize("nodata", [2.6, 254.7])
def test_what_gdal_makes_of_blocks_left_out_is_not_guessed(tmp_path, nodata):
    """Check a nodata value that no pixel can have: only GDAL rounds it."""
    path = tmp_path / "x.tif"
    write_sparse(path, nodata, "pixel")

    assert_reads_same(path, size=40, overlap=8)


@pytest.mark.parametrize("compress", LOSSLESS)
def test_a_mask_within_the_file(make_tiles, compress):
    mask = np.random.default_rng(1).integers(0, 2, (ROWS, COLS), "uint8") * 255

    for interleave in ("pixel", "band"):
        decoded_alike(make_tiles(compress=compress, mask=mask, interleave=interleave))


def tiff_page(tags, blocks, *, at, following):
    """Return one page of a TIFF at an offset: its tags, then its uncompressed blocks."""
    directory = 2 + 12 * (len(tags) + 2) + 4
    values = at + directory
    starts = [values + 8 * len(blocks) + sum(map(len, blocks[:n])) for n in range(len(blocks))]
    entries = [(tag, 4, 1, value) for tag, value in tags.items()]
    entries += [(324, 4, len(blocks), values), (325, 4, len(blocks), values + 4 * len(blocks))]
    end = starts[-1] + len(blocks[-1])
    return b"".join(
        [
            struct.pack("<H", len(entries)),
            *(struct.pack("<HHII", *entry) for entry in sorted(entries)),
            struct.pack("<I", end if following else 0),
            struct.pack(f"<{len(blocks)}I", *starts),
            struct.pack(f"<{len(blocks)}I", *map(len, blocks)),
            *blocks,
        ]
    )


def write_uncompressed(path, image, mask, *, padding=b""):
    """Write an uncompressed image of bytes with a mask of bits, which GDAL never writes."""
    rows, cols = 32, 48
    size = {256: image.shape[1], 257: image.shape[0], 322: cols, 323: rows, 259: 1, 277: 1}
    corners = [
        (y, x) for y in range(0, image.shape[0], rows) for x in range(0, image.shape[1], cols)
    ]
    pages, at = [b"II*\0" + struct.pack("<I", 8)], 8
    for layer, tags in ((image, {258: 8, 262: 1}), (mask, {254: 4, 258: 1, 262: 4})):
        whole = np.zeros((len(layer) + rows, layer.shape[1] + cols), np.uint8)
        whole[: layer.shape[0], : layer.shape[1]] = layer
        blocks = [whole[y : y + rows, x : x + cols] for y, x in corners]
        if 254 in tags:
            blocks = [np.packbits(block, axis=1) for block in blocks]
        content = [block.tobytes() + padding for block in blocks]
        pages.append(tiff_page(size | tags, content, at=at, following=254 not in tags))
        at += len(pages[-1])
    path.write_bytes(b"".join(pages))


@pytest.mark.parametrize("padding", [b"", b"padding"])
def test_a_mask_may_be_uncompressed_and_a_block_longer_than_its_pixels(tmp_path, padding):
    rng = np.random.default_rng(2)
    image, mask = rng.integers(0, 256, (ROWS, COLS), "uint8"), rng.integers(0, 2, (ROWS, COLS))
    path = tmp_path / "x.tif"
    write_uncompressed(path, image, mask, padding=padding)
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(1), image)
        np.testing.assert_array_equal(source.read_masks(1), mask * 255)

    decoded_alike(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_an_alpha_band(make_tiles, dtype, interleave):
    path = make_tiles(
        dtype, count=4, photometric="RGB", alpha="YES", compress="deflate", interleave=interleave
    )

    decoded_alike(path)
    decoded_alike(path, bands=[2])
    decoded_alike(path, bands=[1, 4])


@pytest.mark.parametrize(
    "profile",
    [
        {"tiled": False, "compress": "lerc"},
        {"tiled": False, "compress": "lzma", "interleave": "band"},
        {"nbits": 4},
        {"dtype": "uint16", "nbits": 12, "compress": "deflate"},
        {"dtype": "float32", "nbits": 16, "compress": "deflate"},
    ],
)
def test_what_only_gdal_reads_is_read_in_bands_of_rows(make_tiles, profile):
    if not profile.get("tiled", True):
        profile = {"blockxsize": None, "blockysize": 7} | profile

    with watched() as sources:
        assert_reads_same(make_tiles(**profile), size=40, overlap=8)

    assert sources.names == {"RowGroups"}
    assert not sources.alone


def test_without_imagecodecs_gdal_reads(make_tiles, monkeypatch):
    path = make_tiles(compress="deflate")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with watched() as sources:
        assert_reads_same(path)

    assert sources.names == {"RowGroups"}


def test_bands_apart_in_an_encoding_of_gdal_are_read_in_bands_of_rows(make_tiles):
    with watched() as sources:
        assert_reads_same(make_tiles(compress="jpeg", interleave="band"))

    assert sources.names == {"RowGroups"}


@pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw", "packbits", "webp", "jpeg"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_a_damaged_block_is_what_gdal_makes_of_it(make_tiles, compress, data):
    """Check that the pixels equal GDAL's if the damage is not detected, or that both fail."""
    path = make_tiles(compress=compress)
    with rasterio.open(path) as source:
        offset = int(source.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
        length = int(source.get_tag_item("BLOCK_SIZE_1_1", "TIFF", bidx=1))
    start = data.draw(st.integers(0, length - 1))
    damage = data.draw(st.binary(min_size=1, max_size=length - start))
    with open(path, "r+b") as file:  # noqa: PTH123 (in place)
        file.seek(offset + start)
        file.write(damage)

    assert_reads_same(path, size=48, overlap=0)


def test_each_block_is_decompressed_once(make_tiles, monkeypatch):
    path = make_tiles("uint16", compress="zstd", predictor=2)
    decoded = []

    def decode(content, **options):
        decoded.append(len(content))
        return original(content, **options)

    original = imagecodecs.zstd_decode
    monkeypatch.setitem(codecs._DECOMPRESS, ZSTD, decode)
    assert_reads_same(path, size=40, overlap=20)

    assert len(decoded) == 2 * 3
