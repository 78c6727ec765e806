"""Plan runs of swath, and infer their shards from the scene to Parquet."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks import scenes
from benchmarks.meter import Meter, Sample
from benchmarks.models.package import TILE_SIZE
from benchmarks.sides.device import EmulatedDevice
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

_BATCH_SHARD_TILES = 4096
"""Default number of tiles of a shard on AWS Batch."""


def make_plan(
    scene: str, package: str, work: str, shard_tiles: int = _BATCH_SHARD_TILES
) -> PlanSummary:
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


def plan(scene: str, package: str, work: str, shard_tiles: int = _BATCH_SHARD_TILES) -> Sample:
    """Measure planning; `uri` of the sample is the address of the plan."""
    with Meter() as meter:
        summary = make_plan(scene, package, work, shard_tiles)
    return meter.sample(uri=summary.uri, tiles=summary.tiles, shards=summary.shards)


def shard(scene: str, package: str, *, merge: bool = False, device_ms: float = 0) -> Sample:
    """Run a scene's one shard, from the file to Parquet, with a warm model.

    Args:
        scene: Path of a scene of one shard.
        package: Folder of the model package.
        merge: Whether to measure the merge into one georeferenced GeoParquet file, too.
        device_ms: Time in ms of each tile on an emulated device; 0 for the real model.
    """
    device = EmulatedDevice(device_ms / 1000)
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as work, _patch_model(device):
        _warm_up(package, work)
        summary = make_plan(scene, package, work)
        if summary.shards != 1:
            raise ValueError(f"{scene} is cut into {summary.shards} shards")
        device.busy_seconds = 0.0
        with Meter() as meter:
            receipt = run_shard(summary.uri, 0)
            if merge:
                merge_run(summary.uri)
    if receipt.tiles.succeeded != receipt.tiles.planned:
        raise RuntimeError(f"{scene}: {receipt}")
    return meter.sample(
        tiles=receipt.tiles.planned, detections=receipt.detections, device=device.busy_seconds
    )


def shard_memory(uri: str, package: str, index: int, device_ms: float = 0) -> Sample:
    """Measure one of a plan's many shards."""
    with (
        tempfile.TemporaryDirectory(prefix="swath-bench-") as work,
        _patch_model(EmulatedDevice(device_ms / 1000)),
    ):
        _warm_up(package, work)
        copied_uri = _copy_plan(uri, work)
        with Meter() as meter:
            receipt = run_shard(copied_uri, index)
    return meter.sample(tiles=receipt.tiles.planned, succeeded=receipt.tiles.succeeded)


def first_tile(uri: str, package: str, index: int) -> Sample:
    """Measure the time from the start of a shard to its first tile's inference."""
    delays: list[float] = []

    def stop() -> bool:
        delays.append(time.perf_counter() - started)
        return True

    with tempfile.TemporaryDirectory(prefix="swath-bench-") as work:
        _warm_up(package, work)
        copied_uri = _copy_plan(uri, work)
        with Meter() as meter, suppress(ShardInterruptedError):
            started = time.perf_counter()
            run_shard(copied_uri, index, stop=stop)
    meter.wall = delays[0]
    return meter.sample()


def middle_shard(uri: str) -> int:
    """Return the index of a shard in the middle of a plan."""
    return len(RunStore.open(uri).plan.shards) // 2


def _copy_plan(uri: str, work: str) -> str:
    """Copy a plan into a folder without checkpoints of earlier samples."""
    copied_uri = RunPaths(work, RunPaths.from_plan_uri(uri).run_id).plan
    storage.copy(uri, copied_uri)
    return copied_uri


def _warm_up(package: str, work: str) -> None:
    """Load the model and run it once on a scene of one tile; the process caches the model."""
    scene = scenes.CACHE_FOLDER / "scenes" / "warm.tif"
    if not scene.exists():
        scene.parent.mkdir(parents=True, exist_ok=True)
        VirtualScene(TILE_SIZE, TILE_SIZE, collar=0).write(scene)
    run_shard(make_plan(str(scene), package, work).uri, 0)


def _patch_model(device: EmulatedDevice) -> AbstractContextManager[Any]:
    """Return a context manager that replaces models by the device, if it takes any time."""
    if not device.seconds_per_tile:
        return nullcontext()
    return patch("swath.pipeline.shard.load_model", lambda *_, **__: device)
