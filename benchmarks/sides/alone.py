"""Measure a model alone on prepared tiles, at the runtime's maximum speed.

A short trial selects the fastest call mode: one tile at a time on all cores or one tile for each
core, and for torch either memory layout.
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
from benchmarks.models.package import OVERLAP, TILE_SIZE
from swath.raster.tiles import Grid

Infer = Callable[[NDArray[np.float32]], object]
_PREPARED_TILES = 48
"""Number of different tiles, which are repeated: together they are larger than any cache."""
_TRIAL_TILES = 8


@dataclass(frozen=True, slots=True)
class CallMode:
    """Method of calling a model."""

    infer: Infer
    workers: int
    description: str
    prepare: Callable[[], None] = lambda: None
    """Function to call before the model."""

    def seconds(self, tiles: Sequence[NDArray[np.float32]], count: int) -> float:
        """Return the seconds that `count` tiles take."""
        self.prepare()
        tile_cycle = itertools.cycle(tiles)
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(self.infer, itertools.islice(tile_cycle, self.workers)))
            started = time.perf_counter()
            list(pool.map(self.infer, itertools.islice(tile_cycle, count)))
            return time.perf_counter() - started


def onnx(package: str, scene: str) -> Sample:
    """Measure ONNX Runtime."""
    return _measure(scene, _onnx_modes(Path(package, "model.onnx")))


def pt2(package: str, scene: str) -> Sample:
    """Measure torch with a `.pt2`."""
    return _measure(scene, _torch_modes(Path(package, "model.pt2")))


def prepared_tiles(
    scene: str, count: int = _PREPARED_TILES
) -> tuple[list[NDArray[np.float32]], int]:
    """Return tiles as the model's input, (1, bands, size, size), and the scene's tile count."""
    with rasterio.open(scene) as source:
        grid = Grid(source.width, source.height, TILE_SIZE, OVERLAP)
        windows = grid.windows(np.linspace(0, grid.count - 1, min(count, grid.count), dtype=int))
        # The last column and row are padded; the padding does not change a convolution's speed.
        tiles = [
            source.read(window=Window(*p), boundless=True) for p in _full_windows(windows).tolist()
        ]
    return [tile[None].astype(np.float32) / np.float32(255) for tile in tiles], grid.count


def _full_windows(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.column_stack([windows[:, :2], np.full_like(windows[:, 2:], TILE_SIZE)])


def _measure(scene: str, modes: Sequence[CallMode]) -> Sample:
    tiles, count = prepared_tiles(scene)
    trial_rounds = [
        {mode.description: mode.seconds(tiles, _TRIAL_TILES) for mode in modes} for _ in range(2)
    ]
    trials = {
        mode.description: min(trial[mode.description] for trial in trial_rounds) for mode in modes
    }
    best = min(modes, key=lambda mode: trials[mode.description])
    with Meter() as meter:
        seconds = best.seconds(tiles, count)
    meter.wall = seconds
    return meter.sample(tiles=count, way=best.description, trials=trials)


def _onnx_modes(model: Path) -> list[CallMode]:
    import onnxruntime  # noqa: PLC0415 (torch is measured without it)

    def session(threads: int) -> Infer:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        model_session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        return lambda tile: model_session.run(None, {"image": tile})

    return [
        CallMode(session(threads), workers, f"{workers} x {threads}")
        for workers, threads in _thread_splits()
    ]


def _torch_modes(model: Path) -> list[CallMode]:
    import torch  # noqa: PLC0415

    module: Any = torch.export.load(str(model)).module()

    def mode(layout: torch.memory_format, workers: int, threads: int) -> CallMode:
        def prepare() -> None:
            torch.set_num_threads(threads)
            module.to(memory_format=layout)

        def infer(tile: NDArray[np.float32]) -> object:
            with torch.inference_mode():
                return module(torch.from_numpy(tile).contiguous(memory_format=layout)).numpy()

        return CallMode(infer, workers, f"{workers} x {threads}, {layout}", prepare)

    layouts = (torch.contiguous_format, torch.channels_last)
    return [mode(layout, *split) for layout in layouts for split in _thread_splits()]


def _thread_splits() -> list[tuple[int, int]]:
    """Return the splits of the cores: number of workers, and threads of each."""
    cores = len(os.sched_getaffinity(0))
    return list(dict.fromkeys([(1, cores), (cores, 1)]))
