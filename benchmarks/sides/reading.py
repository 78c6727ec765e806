"""Reading a scene tile by tile: swath, rasterio, and what no reader can beat."""

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

SIZE, OVERLAP = 640, 64
"""px, of the tiles."""
THREADS = 2
_CONNECTIONS = 8
_WINDOWS_AT_ONCE = 16
"""Windows that an asynchronous reader is asked for together."""
_PART = 4 << 20
"""Bytes of a request that only fetches."""


def limit(path: str) -> Sample:
    """Decompress each block and undo its predictor, and do nothing with it."""
    with rasterio.open(path) as scene:
        shape, dtype = (*scene.block_shapes[0], scene.count), np.dtype(scene.dtypes[0])
        decode: Any = getattr(imagecodecs, f"{scene.compression.name}_decode")
        places = block_places(scene)
    content = memoryview(Path(path).read_bytes())
    local = threading.local()
    length = int(np.prod(shape)) * dtype.itemsize

    def one(place: tuple[int, int]) -> None:
        start, count = place
        if not hasattr(local, "room"):
            local.room = np.empty(length, np.uint8)
        decode(content[start : start + count], out=local.room.data)
        # A reader hands its pixels on, so they have memory of their own here, too.
        imagecodecs.delta_decode(local.room.view(dtype).reshape(shape), axis=1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, places[:8]))
        with Meter() as meter:
            list(pool.map(one, places, chunksize=8))
    return meter.sample(blocks=len(places))


def swath(
    path: str,
    local: str | None = None,
    companions: Sequence[int] = (),
    *,
    count_decodes: bool = False,
) -> Sample:
    """Tiles through swath's reader.

    Args:
        path: of the scene, or its S3 URI.
        local: its path, if that is another: its first tile is read beforehand, so that all
            libraries are loaded.
        companions: processes that take part.
        count_decodes: whether to count how often a block is decoded, which takes a little time.
    """
    counter = _Counter()
    with counter.counting(count_decodes):
        # The decoders are looked up when they are imported.
        from swath.raster.reader import read_tiles  # noqa: PLC0415
        from swath.raster.scene import open_scene  # noqa: PLC0415

        def read(uri: str, most: int | None = None) -> tuple[int, int]:
            tiles = pixels = 0
            with open_scene(uri) as scene:
                grid = Grid(scene.info.width, scene.info.height, SIZE, OVERLAP)
                bands, numbers = range(1, scene.info.count + 1), range(grid.count)[:most]
                for tile in read_tiles(scene, grid, bands, numbers, threads=THREADS):
                    if tile.pixels is None:
                        raise RuntimeError(f"{uri}: {tile.error}")
                    tiles, pixels = tiles + 1, pixels + tile.pixels[0].size
            return tiles, pixels

        if storage.is_s3(path):
            storage.s3()  # made once a process
        read(local or path, 1)
        counter.count = 0
        with Meter(companions) as meter:
            tiles, pixels = read(path)
    return meter.sample(tiles=tiles, pixels=pixels, decodes=counter.count)


def windows(path: str, local: str | None = None, companions: Sequence[int] = ()) -> Sample:
    """Read the tiles as windows of rasterio, with GDAL's defaults, after one warm-up window."""
    pixels = 0
    with rasterio.open(local or path) as scene:
        scene.read(window=Window(0, 0, SIZE, SIZE))
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        Meter(companions) as meter,
        rasterio.open(path) as scene,
    ):
        grid = Grid(scene.width, scene.height, SIZE, OVERLAP)
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
        grid = Grid(scene.width, scene.height, SIZE, OVERLAP)
        turns = asyncio.Semaphore(_WINDOWS_AT_ONCE)

        async def one(x: int, y: int, width: int, height: int) -> int:
            async with turns:
                tile = await scene.read(window=Window(x, y, width, height))
                return int(tile.data[0].size)

        await one(0, 0, SIZE, SIZE)
        windows = grid.windows(range(grid.count)).tolist()
        with Meter() as meter:
            pixels = sum(await asyncio.gather(*(one(*window) for window in windows)))
        return meter.sample(tiles=grid.count, pixels=pixels)

    return asyncio.run(read())


def network(url: str, start: int, stop: int, companions: Sequence[int] = ()) -> Sample:
    """Fetch a range of bytes over several connections, and do nothing with it."""
    address = urlsplit(url)
    local = threading.local()

    def fetch(first: int) -> int:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(address.netloc)
        last = min(first + _PART, stop) - 1
        local.connection.request("GET", address.path, headers={"Range": f"bytes={first}-{last}"})
        return len(local.connection.getresponse().read())

    with Meter(companions) as meter, ThreadPoolExecutor(_CONNECTIONS) as pool:
        fetched = sum(pool.map(fetch, range(start, stop, _PART)))
    return meter.sample(bytes=fetched)


def block_places(scene: Any) -> list[tuple[int, int]]:
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


class _Counter:
    """Counts calls of the decoders."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def counting(self, wanted: bool) -> Any:  # noqa: FBT001
        """While entered, whoever looks up deflate's decoder gets one that counts, if wanted."""
        plain = imagecodecs.deflate_decode

        def counted(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.count += 1
            return plain(*arguments, **options)

        return patch.object(imagecodecs, "deflate_decode", counted if wanted else plain)
