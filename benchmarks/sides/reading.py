"""Read a scene tile by tile by swath and its peers, and measure the limits of any reader."""

from __future__ import annotations

import asyncio
import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.meter import Meter, Sample
from swath import storage
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

TILE_SIZE, OVERLAP = 640, 64
"""Size and overlap of the tiles in px."""
THREADS = 2
_CONNECTIONS = 8
_MAX_CONCURRENT_WINDOWS = 16
"""Number of windows that the asynchronous reader reads concurrently."""
_REQUEST_BYTES = 4 << 20
"""Size in bytes of a request that measures the network."""


def limit(path: str) -> Sample:
    """Decompress each block and undo its predictor, and discard the pixels."""
    with rasterio.open(path) as scene:
        shape, dtype = (*scene.block_shapes[0], scene.count), np.dtype(scene.dtypes[0])
        decode: Any = getattr(imagecodecs, f"{scene.compression.name}_decode")
        ranges = block_ranges(scene)
    content = memoryview(Path(path).read_bytes())
    local = threading.local()
    length = int(np.prod(shape)) * dtype.itemsize

    def decode_block(byte_range: tuple[int, int]) -> None:
        start, count = byte_range
        if not hasattr(local, "buffer"):
            local.buffer = np.empty(length, np.uint8)
        decode(content[start : start + count], out=local.buffer.data)
        # A reader returns its pixels, so they have their own memory here, too.
        imagecodecs.delta_decode(local.buffer.view(dtype).reshape(shape), axis=1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(decode_block, ranges[:8]))
        with Meter() as meter:
            list(pool.map(decode_block, ranges, chunksize=8))
    return meter.sample(blocks=len(ranges))


def written_limit(path: str) -> Sample:
    """Decode as `limit` does, but write each pixel once to memory as large as a row of tiles.

    No reader that returns whole tiles can write less.
    """
    with rasterio.open(path) as scene:
        rows, cols = scene.block_shapes[0]
        dtype, depth = np.dtype(scene.dtypes[0]), scene.count
        decode: Any = getattr(imagecodecs, f"{scene.compression.name}_decode")
        ranges, across = block_ranges(scene), -(-scene.width // cols)
    content = memoryview(Path(path).read_bytes())
    local = threading.local()
    length = rows * cols * depth * dtype.itemsize
    # Twice the rows of a tile are in memory, as in a reader that decodes ahead of its consumer.
    rows_in_memory = 2 * -(-TILE_SIZE // rows)
    memory = np.empty((rows_in_memory * rows, across * cols, depth), dtype)

    def decode_block(number: int) -> None:
        start, count = ranges[number]
        if not hasattr(local, "buffer"):
            local.buffer = np.empty(length, np.uint8)
        decode(content[start : start + count], out=local.buffer.data)
        row, column = divmod(number, across)
        top, left = row % rows_in_memory * rows, column * cols
        block = local.buffer.view(dtype).reshape(rows, cols, depth)
        target = memory[top : top + rows, left : left + cols]
        imagecodecs.delta_decode(block, axis=1, out=target)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(decode_block, range(across * rows_in_memory)))
        with Meter() as meter:
            list(pool.map(decode_block, range(len(ranges)), chunksize=8))
    return meter.sample(blocks=len(ranges))


def swath(
    path: str,
    local: str | None = None,
    companion_pids: Sequence[int] = (),
    *,
    count_decodes: bool = False,
) -> Sample:
    """Read the tiles by swath's reader.

    Args:
        path: Path or S3 URI of the scene.
        local: Path of the scene if `path` is a URI. The first tile is read from it beforehand, so
            that all libraries are loaded.
        companion_pids: Ids of processes that belong to the measurement.
        count_decodes: Whether to count how often a block is decoded, which takes a little time.
    """
    counter = DecodeCounter()
    with counter.patch_decoder(count_decodes):
        # The reader gets its decoders when it is imported.
        from swath.raster.reader import read_tiles  # noqa: PLC0415
        from swath.raster.scene import open_scene  # noqa: PLC0415

        def read(uri: str, max_tiles: int | None = None) -> tuple[int, int]:
            tiles = pixels = 0
            with open_scene(uri) as scene:
                grid = Grid(scene.info.width, scene.info.height, TILE_SIZE, OVERLAP)
                bands, numbers = range(1, scene.info.count + 1), range(grid.count)[:max_tiles]
                for tile in read_tiles(scene, grid, bands, numbers, threads=THREADS):
                    if tile.pixels is None:
                        raise RuntimeError(f"{uri}: {tile.error}")
                    tiles, pixels = tiles + 1, pixels + tile.pixels[0].size
            return tiles, pixels

        if storage.is_s3(path):
            storage.s3()  # created once per process
        read(local or path, 1)
        counter.count = 0
        with Meter(companion_pids) as meter:
            tiles, pixels = read(path)
    return meter.sample(tiles=tiles, pixels=pixels, decodes=counter.count)


def windows(path: str, local: str | None = None, companion_pids: Sequence[int] = ()) -> Sample:
    """Read the tiles as windows of rasterio, with GDAL's defaults, after one warm-up window."""
    pixels = 0
    with rasterio.open(local or path) as scene:
        scene.read(window=Window(0, 0, TILE_SIZE, TILE_SIZE))
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        Meter(companion_pids) as meter,
        rasterio.open(path) as scene,
    ):
        grid = Grid(scene.width, scene.height, TILE_SIZE, OVERLAP)
        for window in grid.windows(range(grid.count)).tolist():
            pixels += scene.read(window=Window(*window))[0].size
    return meter.sample(tiles=grid.count, pixels=pixels)


def async_geotiff(path: str) -> Sample:
    """Read the tiles as windows of async-geotiff, several at once, decoded on its own threads."""
    from async_geotiff import GeoTIFF, Window  # noqa: PLC0415 - its own Window
    from async_tiff.store import LocalStore  # noqa: PLC0415

    async def read() -> Sample:
        store = LocalStore(Path(path).parent)
        scene = await GeoTIFF.open(Path(path).name, store=store)
        grid = Grid(scene.width, scene.height, TILE_SIZE, OVERLAP)
        semaphore = asyncio.Semaphore(_MAX_CONCURRENT_WINDOWS)

        async def read_window(x: int, y: int, width: int, height: int) -> int:
            async with semaphore:
                tile = await scene.read(window=Window(x, y, width, height))
                return int(tile.data[0].size)

        await read_window(0, 0, TILE_SIZE, TILE_SIZE)
        windows = grid.windows(range(grid.count)).tolist()
        with Meter() as meter:
            pixels = sum(await asyncio.gather(*(read_window(*window) for window in windows)))
        return meter.sample(tiles=grid.count, pixels=pixels)

    return asyncio.run(read())


def network(url: str, start: int, stop: int, companion_pids: Sequence[int] = ()) -> Sample:
    """Fetch a range of bytes over several connections, and discard the bytes."""
    address = urlsplit(url)
    local = threading.local()

    def fetch(first: int) -> int:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(address.netloc)
        last = min(first + _REQUEST_BYTES, stop) - 1
        local.connection.request("GET", address.path, headers={"Range": f"bytes={first}-{last}"})
        return len(local.connection.getresponse().read())

    with Meter(companion_pids) as meter, ThreadPoolExecutor(_CONNECTIONS) as pool:
        fetched = sum(pool.map(fetch, range(start, stop, _REQUEST_BYTES)))
    return meter.sample(bytes=fetched)


def block_ranges(scene: Any) -> list[tuple[int, int]]:
    """Return the position of each block in the file of an open GeoTIFF: first byte, bytes."""
    rows, cols = scene.block_shapes[0]
    return [
        (
            int(scene.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=1)),
            int(scene.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1)),
        )
        for y in range(-(-scene.height // rows))
        for x in range(-(-scene.width // cols))
    ]


class DecodeCounter:
    """Counter of the decoders' calls."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def patch_decoder(self, is_enabled: bool) -> Any:  # noqa: FBT001
        """Return a context manager that replaces deflate's decoder by a counting one."""
        decode = imagecodecs.deflate_decode

        def counting_decode(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.count += 1
            return decode(*arguments, **options)

        return patch.object(
            imagecodecs, "deflate_decode", counting_decode if is_enabled else decode
        )
