"""Tests of impossible block tables: swath never follows one, and GDAL reads the file instead."""

import struct
from pathlib import Path

import numpy as np
import pytest

from swath import storage
from swath.raster.dataset import open_dataset
from swath.raster.files import tiff_header
from swath.raster.files.tiff_header import UnsupportedLayoutError, read_pages
from swath.raster.files.tiff_layout import read_layouts
from tests.helpers.reading import assert_reads_same, watched

ROWS, COLS = 100, 130


@pytest.fixture
def path(make_scene):
    pixels = np.random.default_rng(4).integers(0, 255, (2, ROWS, COLS)).astype("uint8")
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 48, "bigtiff": "YES"}
    return make_scene(pixels, **tiles, interleave="pixel", compress="deflate")


def reading(content):
    return lambda offset, length: content[offset : offset + length]


def rewrite(content, tag, change):
    """Return a BigTIFF with another table appended."""
    (page, *_) = read_pages(reading(content))
    numbers = change(page.numbers(tag).tolist())
    first = int.from_bytes(content[8:16], "little")
    (entry,) = (
        at
        for at in range(first + 8, first + 8 + 20 * len(page.fields), 20)
        if int.from_bytes(content[at : at + 2], "little") == tag
    )
    # The entry itself holds a single number.
    place = numbers[0] if len(numbers) == 1 else len(content)
    told = struct.pack("<HHQQ", tag, 16, len(numbers), place)
    table = struct.pack(f"<{len(numbers)}Q", *numbers)
    return content[:entry] + told + content[entry + 20 :] + table


@pytest.mark.parametrize(
    ("tag", "number"),
    [
        (tiff_header.TILE_BYTE_COUNTS, 2 * 32 * 48 * 2 + (64 << 10) + 1),
        (tiff_header.TILE_BYTE_COUNTS, 1 << 31),
        (tiff_header.TILE_OFFSETS, (1 << 64) - 8),
    ],
)
def test_a_block_where_none_can_be_or_too_large_is_left_to_gdal(path, tag, number):
    content = rewrite(storage.read_bytes(path), tag, lambda numbers: [*numbers[:-1], number])
    Path(path).write_bytes(content)

    with watched() as sources:
        assert_reads_same(path)

    assert sources.names == {"RowGroups"}


@pytest.mark.parametrize("tag", [tiff_header.TILE_OFFSETS, tiff_header.TILE_BYTE_COUNTS])
@pytest.mark.parametrize("change", [lambda numbers: numbers[:-1], lambda numbers: [*numbers, 9]])
def test_a_table_of_more_or_fewer_blocks_than_the_scene_has_is_refused(path, tag, change):
    content = rewrite(storage.read_bytes(path), tag, change)

    with (
        open_dataset(path) as dataset,
        pytest.raises(UnsupportedLayoutError, match="table of blocks of another length"),
    ):
        read_layouts(dataset.reader, reading(content))


@pytest.mark.parametrize(
    "tag",
    [
        tiff_header.WIDTH,
        tiff_header.HEIGHT,
        tiff_header.TILE_WIDTH,
        tiff_header.TILE_HEIGHT,
        tiff_header.SAMPLES_PER_PIXEL,
    ],
)
def test_a_header_of_no_extent_is_refused(path, tag):
    content = rewrite(storage.read_bytes(path), tag, lambda _: [0])

    with open_dataset(path) as dataset, pytest.raises(UnsupportedLayoutError, match="no blocks"):
        read_layouts(dataset.reader, reading(content))
