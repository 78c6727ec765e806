"""A model alone: the same tiles, prepared beforehand, through the runtime as fast as it goes.

Of the ways to call it (one tile after the other on all cores, or one a core; for torch, either
layout in memory) the one that is fastest in a short trial is measured.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from benchmarks.meter import Meter, Sample
from benchmarks.models.package import OVERLAP, TILE
from swath.raster.tiles import Grid

Infer = Callable[[NDArray[np.float32]], object]
_PREPARED = 48
"""Different tiles, shown again and again: together they are larger than any cache."""
_TRIED = 8


@dataclass(frozen=True, slots=True)
class Way:
    """How to call a model."""

    infer: Infer
    workers: int
    said: str
    prepare: Callable[[], None] = lambda: None
    """To be called before."""

    def seconds(self, tiles: Sequence[NDArray[np.float32]], count: int) -> float:
        """Return the seconds that `count` tiles take."""
        self.prepare()
        supply = itertools.cycle(tiles)
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(self.infer, itertools.islice(supply, self.workers)))
            started = time.perf_counter()
            list(pool.map(self.infer, itertools.islice(supply, count)))
            return time.perf_counter() - started


def onnx(package: str, scene: str) -> Sample:
    """ONNX Runtime."""
    return _measure(scene, _onnx_ways(Path(package, "model.onnx")))


def pt2(package: str, scene: str) -> Sample:
    """torch, from a `.pt2`."""
    return _measure(scene, _torch_ways(Path(package, "model.pt2")))


def prepared_tiles(scene: str, count: int = _PREPARED) -> tuple[list[NDArray[np.float32]], int]:
    """Tiles as the model takes them, (1, bands, size, size), and how many the scene has."""
    with rasterio.open(scene) as opened:
        grid = Grid(opened.width, opened.height, TILE, OVERLAP)
        places = grid.windows(np.linspace(0, grid.count - 1, min(count, grid.count), dtype=int))
        # The last column and row are padded; what stands there changes nothing for a convolution.
        tiles = [opened.read(window=Window(*p), boundless=True) for p in _whole(places).tolist()]
    return [tile[None].astype(np.float32) / np.float32(255) for tile in tiles], grid.count


def _whole(places: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.column_stack([places[:, :2], np.full_like(places[:, 2:], TILE)])


def _measure(scene: str, ways: Sequence[Way]) -> Sample:
    tiles, count = prepared_tiles(scene)
    tries = [{way.said: way.seconds(tiles, _TRIED) for way in ways} for _ in range(2)]
    trials = {way.said: min(one[way.said] for one in tries) for way in ways}
    best = min(ways, key=lambda way: trials[way.said])
    with Meter() as meter:
        seconds = best.seconds(tiles, count)
    meter.wall = seconds
    return meter.sample(tiles=count, way=best.said, trials=trials)


def _onnx_ways(model: Path) -> list[Way]:
    import onnxruntime  # noqa: PLC0415 (whoever measures torch is spared it)

    def session(threads: int) -> Infer:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        opened = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda tile: opened.run(None, {"image": tile})

    return [
        Way(session(threads), workers, f"{workers} x {threads}") for workers, threads in _cuts()
    ]


def _torch_ways(model: Path) -> list[Way]:
    import torch  # noqa: PLC0415

    module: Any = torch.export.load(str(model)).module()

    def way(layout: torch.memory_format, workers: int, threads: int) -> Way:
        def prepare() -> None:
            torch.set_num_threads(threads)
            module.to(memory_format=layout)

        def infer(tile: NDArray[np.float32]) -> object:
            with torch.inference_mode():
                return module(torch.from_numpy(tile).contiguous(memory_format=layout)).numpy()

        return Way(infer, workers, f"{workers} x {threads}, {layout}", prepare)

    layouts = (torch.contiguous_format, torch.channels_last)
    return [way(layout, *cut) for layout in layouts for cut in _cuts()]


def _cuts() -> list[tuple[int, int]]:
    """How cores can be shared out: workers, and threads of each."""
    cores = len(os.sched_getaffinity(0))
    return list(dict.fromkeys([(1, cores), (cores, 1)]))
