"""Tests of files of every format with seeded damage: a tile fails or has the written pixels.

Most codecs have no checksum, so a flipped bit changes pixels undetectably. For those files, the
tests only check that a truncated file fails and that two reads never differ.
"""

import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from swath.errors import SceneError, SwathError
from swath.raster.files import tiff_header
from swath.raster.reader import read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from swath.sagemaker.server.images import open_image
from tests.helpers.fuzzing import draws

ROWS, COLS, TILE = 110, 130, 64
TILED = {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64}
JPEG_2000 = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}
CHECKED = {
    "tiles, deflate": TILED | {"compress": "DEFLATE", "predictor": 2},
    "tiles, deflate, by band": TILED | {"compress": "DEFLATE", "interleave": "band"},
    "strips, deflate": {"driver": "GTiff", "compress": "DEFLATE", "blockysize": 16},
    "tiles, LZMA": TILED | {"compress": "LZMA"},
    "tiles, LERC": TILED | {"compress": "LERC"},
    "strips, LERC and zstd": {"driver": "GTiff", "compress": "LERC_ZSTD", "blockysize": 16},
    "png": {"driver": "PNG"},
}
"""Files whose blocks end in checksums."""
UNCHECKED = {
    "tiles": TILED,
    "tiles, LZW": TILED | {"compress": "LZW"},
    "tiles, zstd": TILED | {"compress": "ZSTD"},
    "tiles, PackBits": TILED | {"compress": "PACKBITS"},
    "tiles, JPEG": TILED | {"compress": "JPEG", "photometric": "YCBCR"},
    "tiles, WebP": TILED | {"compress": "WEBP", "WEBP_LOSSLESS": True},
    "strips, LZW": {"driver": "GTiff", "compress": "LZW", "blockysize": 16},
    "strips, JPEG": {
        "driver": "GTiff",
        "compress": "JPEG",
        "photometric": "YCBCR",
        "blockysize": 16,
    },
    "JPEG 2000": JPEG_2000,
    "JPEG 2000, tiles": JPEG_2000 | {"BLOCKXSIZE": 64, "BLOCKYSIZE": 64},
    "JPEG 2000, lossy": {"driver": "JP2OpenJPEG", "QUALITY": 25},
    "NITF": {"driver": "NITF", "ICORDS": "G"},
    "jpeg": {"driver": "JPEG", "QUALITY": 90},
}
PICTURES = {"png", "jpeg"}
# A subprocess writes the files: odd files have corrupted the memory of a process through rasterio.
WRITE = """
import sys
import numpy as np, rasterio
y, x = np.mgrid[:{rows}, :{cols}]
noise = np.random.default_rng(0).normal(0, 8, (3, {rows}, {cols}))
pixels = ((np.sin(x / 17) + np.cos(y / 11)) * 50 + 128 + noise).clip(0, 255).astype("uint8")
place = {{"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, 5, 0, -1e-4, 50)}}
for name, profile in {kinds}.items():
    shape = dict(width={cols}, height={rows}, count=3, dtype="uint8")
    with rasterio.open(sys.argv[1] + "/" + name, "w", **profile, **shape, **place) as out:
        out.write(pixels)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    script = WRITE.format(rows=ROWS, cols=COLS, kinds=CHECKED | UNCHECKED)
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, folder], check=True)
    return folder


def tiles_of(path, kind):
    """Return the pixels of each tile, None for a failed tile; None if the file cannot be opened."""
    opened = (
        open_image(path, kind, lambda _: nullcontext())
        if kind in PICTURES
        else open_scene(str(path))
    )
    try:
        with opened as scene:
            info = scene.info
            grid = Grid(info.width, info.height, TILE, 0)
            read = read_tiles(scene, grid, list(range(1, info.count + 1)), range(grid.count))
            return [None if tile.error else np.array(tile.pixels) for tile in read]
    except SwathError:
        return None


def damage(content, rng):
    """Truncate a file, flip bits, or overwrite a part.

    Return the mode, the offset and the content.
    """
    how, at = rng.choice(["cut", "flip", "flips", "zeros", "noise"]), rng.randrange(len(content))
    changed = bytearray(content)
    if how == "cut":
        del changed[at:]
    elif how == "flip":
        changed[at] ^= 1 << rng.randrange(8)
    else:
        span = range(at, min(len(content), at + {"flips": 8, "zeros": 256, "noise": 64}[how]))
        for place in span:
            changed[place] = {
                "flips": changed[place] ^ rng.randrange(1, 256),
                "zeros": 0,
                "noise": rng.randrange(256),
            }[how]
    return how, at, bytes(changed)


def same(one, other):
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and np.array_equal(one, other)


def all_same(one, other):
    if one is None or other is None or len(one) != len(other):
        return one is other
    return all(map(same, one, other))


def first_block(content):
    """Return the offset of a TIFF's first block, or 0. Bytes before it have no checksum."""
    try:
        page = tiff_header.read_first_page(lambda at, length: content[at : at + length])
    except tiff_header.UnsupportedLayoutError:
        return 0
    tag = (
        tiff_header.TILE_OFFSETS
        if tiff_header.TILE_OFFSETS in page.fields
        else tiff_header.STRIP_OFFSETS
    )
    return int(page.numbers(tag).min())


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", [*CHECKED, *UNCHECKED])
def test_damage_fails_or_changes_nothing(files, tmp_path, kind):
    content = (files / kind).read_bytes()
    whole = tiles_of(files / kind, kind)
    assert whole
    assert all(tile is not None for tile in whole)
    start, rng = first_block(content), random.Random(kind)
    failed = 0

    for _ in range(draws(30, fuzz=1000)):
        how, at, changed = damage(content, rng)
        path = tmp_path / "damaged"
        path.write_bytes(changed)
        read, again = tiles_of(path, kind), tiles_of(path, kind)

        where = f"{how} at byte {at}"
        assert all_same(read, again), f"{where}: two reads differ"
        failed += read is None or any(tile is None for tile in read)
        if how == "cut" or (kind in CHECKED and at >= start):
            pixels = [] if read is None else zip(read, whole, strict=True)
            assert all(got is None or same(got, tile) for got, tile in pixels), f"{where}: made up"
    assert failed


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("kind", [kind for kind in UNCHECKED if kind.startswith("JPEG 2000")])
def test_jpeg_2000_cut_short_fails_whatever_threads_gdal_is_given(
    files, tmp_path, monkeypatch, kind, share
):
    monkeypatch.setenv("GDAL_NUM_THREADS", "4")
    content = (files / kind).read_bytes()
    path = tmp_path / "cut.jp2"
    path.write_bytes(content[: int(len(content) * share)])

    for _ in range(3):
        read = tiles_of(path, kind)
        assert read is None or any(tile is None for tile in read)


def test_a_damaged_block_is_named(files, tmp_path):
    content = bytearray((files / "strips, deflate").read_bytes())
    content[len(content) // 2] ^= 255
    path = Path(tmp_path / "scene.tif")
    path.write_bytes(content)

    with open_scene(str(path)) as scene:
        with pytest.raises(SceneError, match=r"scene.tif cannot be read at x 0, y 0 .*checksum"):
            scene.read((0, 0, COLS, ROWS), [1, 2, 3])
        # GDAL would return invented pixels from its cache on the second read.
        with pytest.raises(SceneError, match="checksum"):
            scene.read((0, 0, COLS, ROWS), [1, 2, 3])
