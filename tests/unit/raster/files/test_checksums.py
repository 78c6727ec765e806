"""Tests of checksums: a block with a checksum is verified, and only such a block."""

import lzma
import zlib
from contextlib import closing, contextmanager

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from swath import storage
from swath.raster.files import tiff_header
from swath.raster.files.checksums import ChecksumVerifier, VerifiedBlocks, is_damaged
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import DEFLATE, LZMA, OLD_DEFLATE

ROWS, COLS = 100, 130
WHOLE = Window(0, 0, COLS, ROWS)
TILES = {"tiled": True, "blockxsize": 64, "blockysize": 64}
STRIPS = {"tiled": False, "blockysize": 16}
PIXELS = bytes(range(250)) * 4
WRITTEN = {
    DEFLATE: zlib.compress(PIXELS),
    OLD_DEFLATE: zlib.compress(PIXELS, 1),
    LZMA: lzma.compress(PIXELS),
}


@pytest.fixture
def make_file(make_scene):
    """Return a function that writes two bands of noise.

    The noise is compressible, as GDAL's LZMA stores other noise without a checksum.
    """

    def make(**profile):
        pixels = np.random.default_rng(4).integers(0, 9, (2, ROWS, COLS)).astype("uint8")
        return make_scene(pixels, **profile)

    return make


def open_checksums(path):
    return ChecksumVerifier(str(path), storage.etag(str(path)))


@contextmanager
def checked(path):
    with closing(open_checksums(path)) as checksums:
        yield checksums


def overwrite(path, offset, content):
    with open(path, "r+b") as file:  # noqa: PTH123 (in place)
        file.seek(offset)
        file.write(content)


def place_of(path, column, row, band=1):
    with rasterio.open(path) as source:
        return tuple(
            int(source.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band))
            for what in ("OFFSET", "SIZE")
        )


@pytest.mark.parametrize("compression", WRITTEN)
class TestABlock:
    def test_is_sound_as_it_was_written(self, compression):
        assert not is_damaged(compression, WRITTEN[compression], len(PIXELS))

    @pytest.mark.parametrize("at", [0, 20, -1])
    def test_is_damaged_where_a_byte_is_another(self, compression, at):
        content = bytearray(WRITTEN[compression])
        content[at] ^= 0xFF

        assert is_damaged(compression, bytes(content), len(PIXELS))

    def test_is_damaged_where_it_is_no_such_stream_or_ends_early(self, compression):
        for content in (b"", b"no stream at all", WRITTEN[compression][:50]):
            assert is_damaged(compression, content, len(PIXELS))


@pytest.mark.parametrize("layout", [TILES, STRIPS], ids=["tiles", "strips"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("compress", ["deflate", "lzma"])
def test_a_damaged_block_is_named_by_the_windows_that_need_it(
    make_file, layout, interleave, compress
):
    path = make_file(**layout, interleave=interleave, compress=compress)
    band = 2 if interleave == "band" else 1
    offset, length = place_of(path, 0, 1, band)
    overwrite(path, offset + length // 2, b"\xff" * 8)
    block = Window(0, 16 if layout is STRIPS else 64, 10, 10)

    with checked(path) as checksums:
        assert checksums.describe_damage(Window(0, 0, 20, 16), [1, 2]) == ""
        assert f"byte {offset} does not match" in checksums.describe_damage(block, [band])
        assert checksums.describe_damage(block, [1]) == "" or interleave == "pixel"
        # The result is the same, however often the block is checked.
        assert f"byte {offset} does not match" in checksums.describe_damage(WHOLE, [1, 2])


@pytest.mark.parametrize("compress", [None, "lzw", "packbits", "zstd"])
def test_blocks_without_checksums_are_not_held_to_any(make_file, compress):
    with checked(make_file(**STRIPS, compress=compress)) as checksums:
        assert checksums.describe_damage(WHOLE, [1, 2]) == ""


def test_the_mask_has_blocks_of_its_own(make_scene):
    mask = np.zeros((ROWS, COLS), "uint8")
    mask[10:60, 20:90] = 255
    path = make_scene(np.ones((1, ROWS, COLS), "uint8"), mask=mask, **TILES, compress="deflate")
    with closing(open_checksums(path)) as checksums:
        offset = int(checksums._mask.page.numbers(tiff_header.TILE_OFFSETS, 0, 1)[0])
    overwrite(path, offset + 3, b"\xff" * 4)

    with checked(path) as checksums:
        assert checksums.describe_damage(WHOLE, [1]) == ""
        assert f"byte {offset} does not match" in checksums.describe_damage(WHOLE, [1], mask=True)


def test_a_file_without_a_mask_has_none_to_hold_to_anything(make_file):
    with checked(make_file(**TILES, compress="deflate")) as checksums:
        assert checksums.describe_damage(WHOLE, [1], mask=True) == ""


class TestATableOfBlocks:
    @pytest.fixture
    def path(self, make_file):
        return make_file(**STRIPS, compress="deflate", interleave="pixel")

    def edit(self, path, tag, number):
        """Overwrite the first entry of a tag's table."""
        with closing(open_checksums(path)) as checksums:
            field = checksums._image.page.fields[tag]
        size = field.dtype.itemsize
        overwrite(path, field.offset, number.to_bytes(size, "little"))

    def test_may_leave_blocks_out(self, path):
        for tag in (tiff_header.STRIP_OFFSETS, tiff_header.STRIP_BYTE_COUNTS):
            self.edit(path, tag, 0)

        with checked(path) as checksums:
            assert checksums.describe_damage(WHOLE, [1, 2]) == ""

    @pytest.mark.parametrize("tag", [tiff_header.STRIP_OFFSETS, tiff_header.STRIP_BYTE_COUNTS])
    def test_leaves_no_block_out_by_half(self, path, tag):
        self.edit(path, tag, 0)

        with checked(path) as checksums:
            assert "block 0 has" in checksums.describe_damage(WHOLE, [1, 2])

    @pytest.mark.parametrize("tag", [tiff_header.STRIP_OFFSETS, tiff_header.STRIP_BYTE_COUNTS])
    def test_that_is_too_short_is_refused(self, path, tag):
        with closing(open_checksums(path)) as checksums:
            page = checksums._image.page
            field = page.fields[tag]
            page.fields[tag] = type(field)(field.dtype, 2, field.offset)

            with pytest.raises(UnsupportedLayoutError, match="too short"):
                list(VerifiedBlocks.from_page(page).unverified(WHOLE, [1, 2]))
