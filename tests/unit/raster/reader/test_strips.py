"""Property tests of TIFF strips in every layout: pixels equal GDAL's, and are inflated once."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.errors import SceneError
from swath.raster.dataset import PinnedDataset
from swath.raster.files import checksums, tiff_header, tiff_layout
from swath.raster.files.byte_ranges import MIN_HEADER_BYTES, LocalFile
from swath.raster.reader import codecs, geotiff_blocks, read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.fuzzing import draws
from tests.helpers.reading import assert_reads_same, watched

NONE, LZW, DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32773, 50000
ENCODE = {
    NONE: bytes,
    LZW: imagecodecs.lzw_encode,
    DEFLATE: zlib.compress,
    PACKBITS: imagecodecs.packbits_encode,
    ZSTD: imagecodecs.zstd_encode,
}
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32"]
FLOATS = ["float32", "float64"]
FORMATS = {"u": 1, "i": 2, "f": 3}
CODES = {3: "H", 4: "I", 12: "d", 16: "Q"}
"""Formats of `struct` for TIFF's data types."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The layout of a file."""

    dtype: str = "uint8"
    count: int = 1
    width: int = 30
    height: int = 40
    rows: int = 7
    compression: int = DEFLATE
    predictor: int = 1
    separate: bool = False
    order: str = "<"
    big: bool = False
    shuffled: int = 0
    """Seed of the strips' order in the file; 0 = the scene's order."""
    left_out: frozenset[int] = frozenset()
    whole_last: bool = False
    """Whether the last strip is padded to the height of the others."""


@st.composite
def kinds(draw):
    dtype = draw(st.sampled_from(INTEGERS + FLOATS))
    compression = draw(st.sampled_from(list(ENCODE)))
    predictors = [1]
    if compression in {LZW, DEFLATE, ZSTD}:
        predictors = [1, 3] if dtype in FLOATS else [1, 2]
    height = draw(st.integers(1, 60))
    return Kind(
        dtype=dtype,
        count=draw(st.integers(1, 4)),
        width=draw(st.integers(1, 50)),
        height=height,
        rows=draw(st.one_of(st.integers(1, 12), st.just(height), st.integers(1, 70))),
        compression=compression,
        predictor=draw(st.sampled_from(predictors)),
        separate=draw(st.booleans()),
        order=draw(st.sampled_from("<>")),
        big=draw(st.booleans()),
        shuffled=draw(st.integers(0, 3)),
        left_out=draw(st.frozensets(st.integers(0, 12), max_size=3)),
        whole_last=draw(st.integers(0, 4)) == 0,
    )


def encoded(block, kind):
    """Return the bytes of a strip (rows, cols, samples)."""
    stored = block
    if kind.predictor == 2:
        unsigned = block.view(f"u{block.dtype.itemsize}")
        stored = np.diff(unsigned, axis=1, prepend=np.zeros_like(unsigned[:, :1]))
    if kind.predictor == 3:
        stored = imagecodecs.floatpred_encode(np.ascontiguousarray(block), axis=1)
    else:
        stored = stored.astype(stored.dtype.newbyteorder(kind.order))
    return bytes(ENCODE[kind.compression](stored.tobytes()))


def write(path, kind):
    """Write a scene. Return its pixels (bands, rows, cols) and the offsets of its strips."""
    rng = np.random.default_rng(kind.width * 1000 + kind.height)
    steps = rng.integers(-3, 4, (kind.count, kind.height, kind.width)).cumsum(axis=2)
    scale = 0.37 if kind.dtype in FLOATS else max(1, np.iinfo(kind.dtype).max // 200)
    pixels = (steps * scale).astype(kind.dtype)
    rows = min(kind.rows, kind.height)
    down = -(-kind.height // rows)
    strips = []
    for plane in range(kind.count if kind.separate else 1):
        layers = pixels[plane : plane + 1] if kind.separate else pixels
        for top in range(0, kind.height, rows):
            if plane * down + top // rows in kind.left_out:
                layers[:, top : top + rows] = 0
                strips.append(b"")
                continue
            block = layers[:, top : top + rows]
            if kind.whole_last:
                block = np.pad(block, [(0, 0), (0, rows - block.shape[1]), (0, 0)], "edge")
            strips.append(encoded(np.ascontiguousarray(block.transpose(1, 2, 0)), kind))
    return pixels, _write(path, kind, strips)


def _write(path, kind, strips):
    """Write the strips, then the page with their offsets."""
    content, places = bytearray(16), {}
    order = np.arange(len(strips))
    if kind.shuffled:
        np.random.default_rng(kind.shuffled).shuffle(order)
    for number in order.tolist():
        places[number] = (len(content) if strips[number] else 0, len(strips[number]))
        content += strips[number]
    content += bytes(-len(content) % 8)
    word = 16 if kind.big else 4
    samples = kind.count
    fields = {
        256: (4, [kind.width]),
        257: (4, [kind.height]),
        258: (3, [8 * np.dtype(kind.dtype).itemsize] * samples),
        259: (3, [kind.compression]),
        262: (3, [1]),
        273: (word, [places[number][0] for number in range(len(strips))]),
        277: (3, [samples]),
        278: (4, [kind.rows]),
        279: (word, [places[number][1] for number in range(len(strips))]),
        284: (3, [2 if kind.separate else 1]),
        317: (3, [kind.predictor]),
        339: (3, [FORMATS[np.dtype(kind.dtype).kind]] * samples),
        33550: (12, [2.0, 2.0, 0.0]),
        33922: (12, [0.0] * 6),
    }
    if samples > 1:
        fields[338] = (3, [0] * (samples - 1))
    page, at = bytearray(), len(content)
    count, offset, inline = ("Q", "Q", 8) if kind.big else ("H", "I", 4)
    start = at + struct.calcsize(count) + len(fields) * (4 + 2 * inline) + inline
    more = bytearray()
    page += struct.pack(kind.order + count, len(fields))
    for tag, (code, values) in sorted(fields.items()):
        stored = struct.pack(f"{kind.order}{len(values)}{CODES[code]}", *values)
        page += struct.pack(f"{kind.order}HH{offset}", tag, code, len(values))
        if len(stored) > inline:
            page += struct.pack(kind.order + offset, start + len(more))
            more += stored + bytes(-len(stored) % 8)
        else:
            page += stored.ljust(inline, b"\0")
    page += bytes(inline)
    magic = b"II" if kind.order == "<" else b"MM"
    head = (
        struct.pack(kind.order + "HHHQ", 43, 8, 0, at)
        if kind.big
        else struct.pack(kind.order + "HI", 42, at)
    )
    content[: 2 + len(head)] = magic + head
    Path(path).write_bytes(content + page + more)
    return places


@pytest.mark.fuzz
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=draws(80, fuzz=5000),
)
@given(kind=kinds(), stack=st.sampled_from([1, 3, 256]))
def test_pixels_are_those_that_were_written_and_gdals(tmp_path, kind, stack):
    path = tmp_path / "scene.tif"
    pixels, _ = write(path, kind)

    with pytest.MonkeyPatch.context() as patch, watched() as sources:
        patch.setattr(geotiff_blocks, "_MAX_STACK_ROWS", stack)
        assert_reads_same(path, size=17, overlap=5, bands=[kind.count, 1])
        with open_scene(str(path)) as scene:
            grid = Grid(kind.width, kind.height, 17, 5)
            for tile in read_tiles(scene, grid, range(1, kind.count + 1), range(grid.count)):
                if kind.whole_last:
                    continue  # GDAL reads or refuses these pixels
                x, y, width, height = tile.tile.window
                expected = pixels[:, y : y + height, x : x + width]
                np.testing.assert_array_equal(tile.pixels, expected)

    # libtiff splits a scene that is one uncompressed strip into strips of its own.
    if kind.compression != NONE or kind.rows < kind.height:
        assert sources.names == {"GeoTiffBlocks"}
    if not kind.whole_last:
        assert not sources.alone


@pytest.mark.fuzz
@pytest.mark.parametrize("compression", [DEFLATE, ZSTD, LZW, PACKBITS])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=draws(25, fuzz=1000),
)
@given(data=st.data())
def test_a_damaged_strip_is_what_gdal_makes_of_it_and_none_is_made_up(tmp_path, compression, data):
    path = tmp_path / "scene.tif"
    rows = data.draw(st.sampled_from([1, 7, 40]))
    kind = Kind(count=2, compression=compression, rows=rows, predictor=1)
    pixels, places = write(path, kind)
    offset, length = data.draw(st.sampled_from(sorted(places.values())))
    start = data.draw(st.integers(0, length - 1))
    content = bytearray(path.read_bytes())
    content[offset + start : offset + length] = data.draw(
        st.binary(min_size=length - start, max_size=length - start)
    )
    path.write_bytes(content)

    assert_reads_same(path, size=20, overlap=0)
    if compression == DEFLATE:
        with open_scene(str(path)) as scene:
            grid = Grid(kind.width, kind.height, 20, 0)
            for tile in read_tiles(scene, grid, [1, 2], range(grid.count)):
                x, y, width, height = tile.tile.window
                assert tile.error or np.array_equal(
                    tile.pixels, pixels[:, y : y + height, x : x + width]
                )


def test_a_damaged_strip_fails_its_tiles_and_no_others(tmp_path):
    path = tmp_path / "scene.tif"
    _, places = write(path, Kind(rows=10))
    offset, length = places[2]
    content = bytearray(path.read_bytes())
    content[offset + length - 2] ^= 255
    path.write_bytes(content)

    with open_scene(str(path)) as scene:
        tiles = list(read_tiles(scene, Grid(30, 40, 10, 0), [1], range(12)))

    failed = [tile.tile.y for tile in tiles if tile.error]
    assert failed == [20] * 3
    assert all("checksum" in str(tile.error) for tile in tiles if tile.error)


@pytest.mark.parametrize("place", [(0, 30), (8, 0)])
def test_a_strip_that_is_left_out_by_half_is_gdals(tmp_path, place, monkeypatch):
    """Check a strip whose offset is set and whose length is 0, or the reverse: GDAL reads it."""
    path = tmp_path / "scene.tif"
    write(path, Kind(rows=10, compression=ZSTD))
    original = tiff_layout.Layout.byte_ranges

    def places(self, rows, planes):
        found = original(self, rows, planes)
        found[0, 1, 0] = place
        return found

    monkeypatch.setattr(tiff_layout.Layout, "byte_ranges", places)
    monkeypatch.setattr(geotiff_blocks, "_MAX_STACK_ROWS", 10)
    with watched() as sources:
        assert_reads_same(path, size=10, overlap=0)

    assert sources.alone == 3


def test_each_strip_is_inflated_once(tmp_path, monkeypatch):
    path = tmp_path / "scene.tif"
    _, places = write(path, Kind(count=3, separate=True, rows=1))
    inflated = []

    def inflate(content, **options):
        inflated.append(len(content))
        return original(content, **options)

    original = imagecodecs.deflate_decode
    monkeypatch.setitem(codecs._DECOMPRESS, DEFLATE, inflate)
    monkeypatch.setattr(checksums, "_fast_inflate", lambda: inflate)
    monkeypatch.setattr(PinnedDataset, "read", None)
    with open_scene(str(path)) as scene:
        grid = Grid(30, 40, 16, 5)
        tiles = list(read_tiles(scene, grid, [1, 2, 3], range(grid.count)))

    assert not any(tile.error for tile in tiles)
    assert sorted(inflated) == sorted(length for _, length in places.values())


@pytest.mark.parametrize("compress", ["deflate", "lzma"])
class TestStripsTooLargeToHold:
    """Tests of large strips: GDAL reads rows of them, and swath checks their checksum in pieces."""

    @pytest.fixture
    def path(self, make_scene, compress, monkeypatch):
        monkeypatch.setattr(tiff_layout, "MAX_STRIP_BYTES", 1000)
        monkeypatch.setattr(checksums, "MAX_STRIP_BYTES", 1000)
        monkeypatch.setattr(checksums, "_CHUNK_BYTES", 500)
        pixels = np.random.default_rng(0).integers(0, 9, (1, 80, 60), "uint8")
        return make_scene(pixels, compress=compress, blockysize=80)

    def strip(self, path):
        """Return the offset and the length of the only strip."""
        content = Path(path).read_bytes()
        page = tiff_header.read_first_page(lambda at, length: content[at : at + length])
        return page.number(tiff_header.STRIP_OFFSETS, 0), page.number(
            tiff_header.STRIP_BYTE_COUNTS, 0
        )

    def test_are_read_as_gdal_reads_them(self, path):
        with watched() as sources:
            assert_reads_same(path, size=20, overlap=4)

        assert sources.names == {"RowGroups"}
        assert not sources.alone

    def test_are_never_read_whole(self, path, monkeypatch):
        read = []

        def note(self, offset, length):
            read.append(length)
            return original(self, offset, length)

        original = LocalFile.read
        monkeypatch.setattr(LocalFile, "read", note)
        with open_scene(path) as scene:
            scene.read((0, 0, 60, 80), [1])

        _, length = self.strip(path)
        assert length > 1000
        assert sum(size for size in read if size <= 500) >= length
        assert not {size for size in read if 500 < size < MIN_HEADER_BYTES}

    @pytest.mark.parametrize("at", [0.1, 0.5, 0.999])
    def test_fail_when_damaged(self, path, at):
        content = bytearray(Path(path).read_bytes())
        offset, length = self.strip(path)
        content[offset + int(length * at)] ^= 255
        Path(path).write_bytes(content)

        with open_scene(path) as scene, pytest.raises(SceneError):
            scene.read((0, 0, 60, 80), [1])
