"""Runs of swath: planned, and their shards inferred from the scene to Parquet."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks import scenes
from benchmarks.meter import Meter, Sample
from benchmarks.models.package import TILE
from benchmarks.sides.device import Device
from benchmarks.virtual import VirtualScene
from swath import storage
from swath.errors import ShardInterruptedError
from swath.messages import Backend, ModelRef, PlanSummary, RunOptions, RunRequest, SceneRef
from swath.models.package import describe_package
from swath.pipeline.merge import merge_run
from swath.pipeline.paths import RunPaths
from swath.pipeline.planning import plan_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard
from swath.settings import PlanSettings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_BATCH_SHARD = 4096
"""Tiles; what a shard on AWS Batch has by default."""


def make_plan(scene: str, package: str, work: str, shard_tiles: int = _BATCH_SHARD) -> PlanSummary:
    """Plan a run of a scene."""
    info = describe_package(package)
    etag = storage.etag(scene)
    if etag is None:
        raise FileNotFoundError(scene)
    request = RunRequest.new(
        scene=SceneRef(uri=scene, etag=etag, dropped_at="2026-01-01T00:00:00+00:00"),
        model=ModelRef(name=info.description.name, uri=package, digest=info.digest),
        options=RunOptions(backend=Backend.BATCH),
    )
    return plan_run(request, PlanSettings(work_uri=work, batch_shard_tiles=shard_tiles))


def plan(scene: str, package: str, work: str, shard_tiles: int = _BATCH_SHARD) -> Sample:
    """Measure planning; `uri` is where the plan lies."""
    with Meter() as meter:
        made = make_plan(scene, package, work, shard_tiles)
    return meter.sample(uri=made.uri, tiles=made.tiles, shards=made.shards)


def shard(scene: str, package: str, *, merge: bool = False, device_ms: float = 0) -> Sample:
    """Run a scene's one shard, from the file to Parquet, with a warm model.

    Args:
        scene: at most so large that one shard holds it.
        package: the model.
        merge: whether the run's last step counts, too: one GeoParquet file, georeferenced.
        device_ms: if not 0, a stand-in for a device computes, and takes so long for a tile.
    """
    device = Device(device_ms / 1000)
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as work, _computing(device):
        _warm_up(package, work)
        planned = make_plan(scene, package, work)
        if planned.shards != 1:
            raise ValueError(f"{scene} is cut into {planned.shards} shards")
        device.busy = 0.0
        with Meter() as meter:
            receipt = run_shard(planned.uri, 0)
            if merge:
                merge_run(planned.uri)
    if receipt.tiles.succeeded != receipt.tiles.planned:
        raise RuntimeError(f"{scene}: {receipt}")
    return meter.sample(
        tiles=receipt.tiles.planned, detections=receipt.detections, device=device.busy
    )


def shard_memory(uri: str, package: str, index: int, device_ms: float = 0) -> Sample:
    """One of a plan's many shards."""
    with (
        tempfile.TemporaryDirectory(prefix="swath-bench-") as work,
        _computing(Device(device_ms / 1000)),
    ):
        _warm_up(package, work)
        own = _own(uri, work)
        with Meter() as meter:
            receipt = run_shard(own, index)
    return meter.sample(tiles=receipt.tiles.planned, succeeded=receipt.tiles.succeeded)


def first_tile(uri: str, package: str, index: int) -> Sample:
    """Measure the time from the start of a shard to its first tile's inference."""
    waited: list[float] = []

    def stop() -> bool:
        waited.append(time.perf_counter() - started)
        return True

    with tempfile.TemporaryDirectory(prefix="swath-bench-") as work:
        _warm_up(package, work)
        own = _own(uri, work)
        with Meter() as meter, suppress(ShardInterruptedError):
            started = time.perf_counter()
            run_shard(own, index, stop=stop)
    meter.wall = waited[0]
    return meter.sample()


def middle_shard(uri: str) -> int:
    """Return the index of a shard in the middle of a plan."""
    return len(RunStore.open(uri).plan.shards) // 2


def _own(uri: str, work: str) -> str:
    """Copy a plan into a folder without checkpoints of earlier samples."""
    own = RunPaths(work, RunPaths.from_plan_uri(uri).run_id).plan
    storage.copy(uri, own)
    return own


def _warm_up(package: str, work: str) -> None:
    """Load the model and run it once, on a scene of one tile; the process keeps it."""
    scene = scenes.CACHE / "scenes" / "warm.tif"
    if not scene.exists():
        scene.parent.mkdir(parents=True, exist_ok=True)
        VirtualScene(TILE, TILE, collar=0).write(scene)
    run_shard(make_plan(str(scene), package, work).uri, 0)


def _computing(device: Device) -> AbstractContextManager[Any]:
    """While entered, models are loaded onto the device, if it takes any time."""
    if not device.seconds:
        return nullcontext()
    return patch("swath.pipeline.shard.load_model", lambda *_, **__: device)
