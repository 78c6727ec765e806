"""Read the tiles of a scene of several files by swath and its peers, and measure the limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from benchmarks.meter import Meter, Sample
from benchmarks.scenes import BLOCK_SIZE, CRS
from benchmarks.sides.reading import OVERLAP, THREADS, TILE_SIZE, block_ranges
from benchmarks.stack_files import RESOLUTIONS
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

Paths = Mapping[str, str]
"""Path or URI of the file of each band."""
_COARSE = [name for name, size in RESOLUTIONS.items() if size > min(RESOLUTIONS.values())]
"""Names of the bands that are interpolated."""
_TILES_IN_MEMORY = 6
"""Number of tiles that a reader with two threads, reading ahead, holds in memory."""


def decode(paths: Paths) -> Sample:
    """Decompress each block of all files and undo its predictor, and discard the pixels."""
    local = threading.local()
    shape = (BLOCK_SIZE, BLOCK_SIZE)
    decompress: Any = imagecodecs.deflate_decode
    blocks = [block for path in paths.values() for block in _blocks(path)]

    def decode_block(content: memoryview) -> None:
        if not hasattr(local, "buffer"):
            local.buffer = np.empty(shape, np.uint16)
        decompress(content, out=local.buffer.view(np.uint8).reshape(-1).data)
        imagecodecs.delta_decode(local.buffer, axis=1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(decode_block, blocks[:8]))
        with Meter() as meter:
            list(pool.map(decode_block, blocks, chunksize=8))
    return meter.sample(blocks=len(blocks))


def kernel(width: int, height: int, *, written: bool = False) -> Sample:
    """Interpolate the windows of the coarse bands of all tiles with OpenCV, and nothing else.

    OpenCV's kernel is the fastest of NumPy's, torch's and OpenCV's. It does not know where a window
    begins within a pixel, nor masks, nor edges.

    Args:
        width: Width of the scene in px of the grid.
        height: Height of the scene in px of the grid.
        written: Whether each tile gets memory of its own, with the fine bands copied to it as
            float32; otherwise the results stay in the processor's cache.
    """
    import cv2  # noqa: PLC0415 (a peer's library)

    cv2.setNumThreads(1)
    random = np.random.default_rng(1)
    grid = Grid(width, height, TILE_SIZE, OVERLAP)
    sizes = grid.windows(range(grid.count))[:, 2:].tolist()
    steps = {name: size // 10 for name, size in RESOLUTIONS.items()}
    sources = {
        name: random.integers(1, 9999, (-(-TILE_SIZE // step) + 2,) * 2).astype(np.uint16)
        for name, step in steps.items()
    }
    count = _TILES_IN_MEMORY if written else THREADS
    memory = np.empty((count, len(sources), TILE_SIZE, TILE_SIZE), np.float32)

    def interpolate(number: int) -> None:
        columns, rows = sizes[number]
        tile = memory[number % len(memory), :, :rows, :columns]
        for layer, (name, source) in zip(tile, sources.items(), strict=True):
            if name in _COARSE:
                values = source.astype(np.float32)
                cv2.resize(values, (columns, rows), dst=layer, interpolation=cv2.INTER_LINEAR)
            elif written:
                layer[...] = source[:rows, :columns]

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(interpolate, range(8)))
        with Meter() as meter:
            list(pool.map(interpolate, range(len(sizes))))
    return meter.sample(tiles=len(sizes))


def swath(
    paths: Paths,
    local: Paths | None = None,
    companion_pids: Sequence[int] = (),
    *,
    count_decodes: bool = False,
) -> Sample:
    """Read the tiles by swath's reader.

    Args:
        paths: Path or S3 URI of each band's file.
        local: Paths of the files if `paths` are URIs, from which a tile is read beforehand, so that
            all libraries are loaded.
        companion_pids: Ids of processes that belong to the measurement.
        count_decodes: Whether to count how often a block is decoded.
    """
    from benchmarks.sides.reading import DecodeCounter  # noqa: PLC0415

    counter = DecodeCounter()
    with counter.patch_decoder(count_decodes):
        # The reader gets its decoders when it is imported.
        from swath import storage  # noqa: PLC0415
        from swath.items import item_from_files  # noqa: PLC0415
        from swath.raster.assets.open import open_model_scene  # noqa: PLC0415
        from swath.raster.assets.stack import BandNeeds  # noqa: PLC0415
        from swath.raster.reader import read_tiles  # noqa: PLC0415

        def read(files: Paths, max_tiles: int | None = None) -> tuple[int, int]:
            tiles = pixels = 0
            needs = BandNeeds(tuple(files))
            with open_model_scene(item_from_files(list(files.values())), needs) as opened:
                info = opened.scene.info
                grid = Grid(info.width, info.height, TILE_SIZE, OVERLAP)
                numbers = range(grid.count)[:max_tiles]
                for tile in read_tiles(opened.scene, grid, opened.bands, numbers, threads=THREADS):
                    if tile.pixels is None:
                        raise RuntimeError(f"{files}: {tile.error}")
                    tiles, pixels = tiles + 1, pixels + tile.pixels[0].size
            return tiles, pixels

        if local:
            storage.s3()  # created once per process
        read(local or paths, 1)
        counter.count = 0
        with Meter(companion_pids) as meter:
            tiles, pixels = read(paths)
    return meter.sample(tiles=tiles, pixels=pixels, decodes=counter.count)


def warped(paths: Paths) -> Sample:
    """Read the tiles as windows of WarpedVRTs over the coarse files, and of the fine files."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(rasterio.open(path)) for name, path in paths.items()}
        fine = files[next(name for name in files if name not in _COARSE)]
        for name in _COARSE:
            files[name] = stack.enter_context(
                WarpedVRT(
                    files[name],
                    transform=fine.transform,
                    width=fine.width,
                    height=fine.height,
                    resampling=Resampling.bilinear,
                    dtype="float32",
                )
            )

        def read(window: Window) -> NDArray[Any]:
            layers = [file.read(1, window=window) for file in files.values()]
            return np.stack(layers, dtype=np.float32)

        return _read_all(Grid(fine.width, fine.height, TILE_SIZE, OVERLAP), read)


def odc_stac(paths: Paths) -> Sample:
    """Load each tile by odc-stac, from an Item with the projection of each file."""
    import odc.stac  # noqa: PLC0415 (a peer's library)
    import pystac  # noqa: PLC0415
    from odc.geo.geobox import GeoBox  # noqa: PLC0415

    with rasterio.open(next(iter(paths.values()))) as fine:
        grid = Grid(fine.width, fine.height, TILE_SIZE, OVERLAP)
        whole = GeoBox((fine.height, fine.width), fine.transform, fine.crs)
    item = pystac.Item.from_dict(_stac_item(paths))

    def read(window: Window) -> NDArray[Any]:
        rows, columns = window.toslices()
        tile = odc.stac.load(
            [item],
            bands=list(paths),
            geobox=whole[rows, columns],
            resampling="bilinear",
            dtype="float32",
            pool=THREADS,
        )
        return np.stack([tile[name].data[0] for name in paths])

    return _read_all(grid, read)


def _stac_item(paths: Paths) -> dict[str, Any]:
    """Return a STAC Item with the files as assets, by which no reader has to open a header."""
    assets = {}
    for name, path in paths.items():
        with rasterio.open(path) as file:
            assets[name] = {
                "href": path,
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": file.shape,
                "proj:transform": list(file.transform)[:6],
                "eo:bands": [{"name": name}],
                "raster:bands": [{"data_type": "uint16"}],
            }
    projection = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [projection],
        "id": "scene",
        "geometry": None,
        "properties": {"datetime": "2024-05-01T10:00:00Z", "proj:epsg": int(CRS.split(":")[1])},
        "links": [],
        "assets": assets,
    }


def _read_all(grid: Grid, read: Any) -> Sample:
    """Read the windows of all tiles with a function, after one window as a warm-up."""
    pixels = 0
    windows = grid.windows(range(grid.count)).tolist()
    read(Window(*windows[0]))
    with Meter() as meter:
        for window in windows:
            pixels += read(Window(*window))[0].size
    return meter.sample(tiles=len(windows), pixels=pixels)


def _blocks(path: str) -> Iterator[memoryview]:
    """Yield the compressed blocks of a file."""
    content = memoryview(Path(path).read_bytes())
    with rasterio.open(path) as file:
        for start, count in block_ranges(file):
            yield content[start : start + count]
