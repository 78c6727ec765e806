"""Tests of TIFF headers: values as GDAL reads them, and no harm from damaged headers."""

import dataclasses

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath import storage
from swath.raster.files import tiff_header
from swath.raster.files.tiff_header import UnsupportedLayoutError, read_pages
from swath.raster.files.tiff_layout import read_layouts


def reading(content):
    return lambda offset, length: content[offset : offset + length]


@pytest.fixture
def make_tiled(make_scene):
    def make(**profile):
        pixels = np.random.default_rng(3).integers(0, 255, (2, 150, 200)).astype("uint8")
        options = {"tiled": True, "blockxsize": 32, "blockysize": 48, "compress": "deflate"}
        return make_scene(pixels, **(options | profile))

    return make


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("bigtiff", ["YES", "NO"])
@pytest.mark.parametrize("endianness", ["BIG", "LITTLE"])
def test_blocks_are_where_gdal_finds_them(make_tiled, bigtiff, endianness, interleave):
    path = make_tiled(bigtiff=bigtiff, endianness=endianness, interleave=interleave)
    with rasterio.open(path) as source:
        layout, mask = read_layouts(source, reading(storage.read_bytes(path)))
        planes = [0, 1] if interleave == "band" else [0]
        places = layout.byte_ranges(range(1, 4), planes)
        told = [
            [
                [
                    [
                        int(source.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=plane + 1))
                        for what in ("OFFSET", "SIZE")
                    ]
                    for x in range(7)
                ]
                for y in range(1, 4)
            ]
            for plane in planes
        ]

    assert (layout.blocks_across, layout.blocks_down, mask) == (7, 4, None)
    assert places.tolist() == told


def test_pages_are_found_in_their_order(make_tiled):
    path = make_tiled(mask=np.full((150, 200), 255, "uint8"))
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2])

    found = read_pages(reading(storage.read_bytes(path)))

    assert found[0].number(tiff_header.WIDTH, 0) == 200
    kinds = {
        (page.number(tiff_header.NEW_SUBFILE_TYPE, 0), page.number(tiff_header.WIDTH, 0))
        for page in found
    }
    assert {(0, 200), (1, 100), (4, 200)} <= kinds


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0\xff\xff\xff\xff" + bytes(8), b"x" * 100])
def test_what_is_no_tiff_is_refused(content):
    with pytest.raises(UnsupportedLayoutError):
        read_pages(reading(content))


@pytest.mark.parametrize("endianness", ["LITTLE", "BIG"])
def test_what_does_not_begin_like_a_tiff_is_none(make_tiled, endianness):
    content = storage.read_bytes(make_tiled(endianness=endianness))
    assert read_pages(reading(content))

    for other in (b"XX" + content[2:], content[:15]):
        with pytest.raises(UnsupportedLayoutError, match="no TIFF"):
            read_pages(reading(other))


@pytest.mark.parametrize("tag", [tiff_header.TILE_OFFSETS, tiff_header.TILE_BYTE_COUNTS])
@pytest.mark.parametrize("missing", [1, 4, 8])
def test_a_table_that_the_file_cuts_off_is_refused(make_tiled, tag, missing):
    content = storage.read_bytes(make_tiled())
    (page, *_) = read_pages(reading(content))
    field = page.fields[tag]
    end = field.offset + field.count * field.dtype.itemsize
    whole = page.values(tag)
    cut = dataclasses.replace(page, read=reading(content[: end - missing]))

    assert len(whole) == field.count
    with pytest.raises(UnsupportedLayoutError, match=f"tag {tag} lies beyond the end of the file"):
        cut.values(tag)
    np.testing.assert_array_equal(cut.values(tag, 0, 1), whole[:1])


def test_pages_in_a_circle_end(make_tiled):
    content = bytearray(storage.read_bytes(make_tiled()))
    first = int.from_bytes(content[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    content[end : end + 4] = content[4:8]

    assert len(read_pages(reading(bytes(content)))) == 1


@pytest.fixture
def opened(make_tiled):
    path = make_tiled()
    with rasterio.open(path) as source:
        yield source, storage.read_bytes(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_header_is_refused_or_read(opened, changes):
    source, content = opened[0], bytearray(opened[1])
    for place, value in changes:
        content[place] = value
    try:
        layout, _ = read_layouts(source, reading(bytes(content)))
        assert layout.byte_ranges(range(2), [0]).shape == (1, 2, 7, 2)
    except UnsupportedLayoutError:
        pass
