"""Measure a model alone on a GPU, and the GPU's utilization."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.meter import Meter, Sample
from benchmarks.sides import runs
from benchmarks.sides.alone import prepared_tiles
from swath.models.package import load_package
from swath.models.runtimes.load import load_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUERY = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "-lms",
    "100",
)
_MEASURED_SECONDS = 5.0
_TRIAL_BATCHES = 5
"""Number of batches in a trial."""


def detect_gpu() -> Sample:
    """Return the name of torch's GPU; empty without one."""
    if importlib.util.find_spec("torch") is None:
        return {"gpu": ""}
    import torch  # noqa: PLC0415

    return {"gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else ""}


def alone(package: str, scene: str) -> Sample:
    """Run the module on float32 batches on the device, of the size that swath chooses.

    The layout in memory is the faster of the two; a few seconds are measured and scaled up.
    """
    import torch  # noqa: PLC0415

    tiles, count = prepared_tiles(scene)
    size = load_model(load_package(package)).batch_size
    measure_seconds = _make_timer(Path(package, "model.pt2"), tiles, size)
    layouts = (torch.contiguous_format, torch.channels_last)
    trials = {layout: measure_seconds(layout, _TRIAL_BATCHES) for layout in layouts}
    best = min(trials, key=lambda layout: trials[layout])
    batches = max(_TRIAL_BATCHES, int(_MEASURED_SECONDS / trials[best] * _TRIAL_BATCHES))
    with Meter() as meter, _measure_utilization() as busy:
        seconds = measure_seconds(best, batches)
    meter.wall = seconds / (batches * size) * count
    return meter.sample(tiles=count, batch=size, tiles_per_s=count / meter.wall, busy=busy)


def _make_timer(
    path: Path, tiles: Sequence[NDArray[np.float32]], size: int
) -> Callable[[Any, int], float]:
    """Return a function that measures the seconds of some batches in a memory layout."""
    import torch  # noqa: PLC0415
    from torch.export.passes import move_to_device_pass  # noqa: PLC0415

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    program = torch.export.load(str(path))
    module: Any = move_to_device_pass(program, "cuda").module()
    stack = torch.cat([torch.from_numpy(tile) for tile in tiles]).to("cuda")
    stack = stack.repeat(-(-size // len(stack)), 1, 1, 1)[:size]

    def seconds(layout: Any, batches: int) -> float:
        module.to(memory_format=layout)
        batch = stack.contiguous(memory_format=layout)
        with torch.inference_mode():
            module(batch)
            torch.cuda.synchronize()
            started = time.perf_counter()
            for _ in range(batches):
                module(batch)
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return seconds


def shard(package: str, scene: str) -> Sample:
    """Run a scene's one shard, as `runs.shard` does."""
    with _measure_utilization() as busy:
        sample = runs.shard(scene, package)
    return sample | {"tiles_per_s": sample["tiles"] / sample["wall"], "busy": busy}


@contextmanager
def _measure_utilization() -> Iterator[dict[str, float]]:
    """Add the median and the mean of the GPU's utilization in percent while it was in use."""
    utilization: dict[str, float] = {}
    with subprocess.Popen(_QUERY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield utilization
        finally:
            process.terminate()
            output = process.communicate()[0]
    samples = [float(line) for line in output.split() if line.strip().isdigit() and int(line)]
    if samples:
        utilization |= {"median": statistics.median(samples), "mean": statistics.mean(samples)}
