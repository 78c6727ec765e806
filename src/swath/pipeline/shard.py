"""Run one shard: turn tiles of a scene into detections in a Parquet file, and write a receipt.

Detections at seams within the shard are stitched here. Detections that may continue in another
shard go into a separate file, which the merge stitches. Memory use grows with the model's batch
size and with the number of detections at seams, but not with the size of the scene.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import msgspec

from swath.errors import InputError, ShardInterruptedError
from swath.messages import ModelRef, Receipt, TileCounts, TileFailure
from swath.models.mlm import ModelDescription
from swath.models.package import load_package
from swath.models.runtimes.base import Model
from swath.models.runtimes.load import load_model
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard_attempt import open_attempt

DEFAULT_CHECKPOINT_SECONDS = 180.0
"""Time in s between two checkpoints of a shard.

A Spot host may be reclaimed before its containers get a signal. A shard then loses at most three
minutes of work. A checkpoint takes a second or two.
"""

ModelLoader = Callable[[ModelRef], tuple[ModelDescription, Model]]
"""Function that returns the description and the loaded model for a plan's model reference."""


def load_cached_model(ref: ModelRef) -> tuple[ModelDescription, Model]:
    """Load the model of a plan, and cache it for the next shard of this process.

    Raises:
        PackageError: The model package cannot be used, or is no longer the one of the plan.
    """
    return _load_once(ref.uri, ref.digest)


def run_shard(
    plan_uri: str,
    index: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    load: ModelLoader = load_cached_model,
    checkpoint_seconds: float = DEFAULT_CHECKPOINT_SECONDS,
    progress: Callable[[int], None] = lambda _: None,
) -> Receipt:
    """Run the model over one shard of a plan, and write the shard's files and receipt.

    If a receipt without failed tiles exists, and the files that it lists are intact, the function
    only returns that receipt. A shard with failed tiles is run again, since the network may have
    caused the failures.

    Args:
        plan_uri: Address of the plan.
        index: Number of the shard, from 0.
        stop: Function called after each batch. Once it returns True, the shard writes a checkpoint
            and ends.
        load: Function that loads the plan's model.
        checkpoint_seconds: Time in s between checkpoints, from which the next attempt resumes.
        progress: Callback after each batch but the last. Its argument is the number of the shard's
            tiles that are done.

    Returns:
        The receipt of the shard.

    Raises:
        NoGpuError: A GPU is present or required, and cannot be used.
        SceneError: The scene cannot be opened. A single unreadable tile raises no error.
        SceneChangedError: The scene is no longer the one that was planned.
        PackageError: The model package cannot be used, or is no longer the one of the plan.
        ShardInterruptedError: `stop` returned True before the last tile.
    """
    started = time.monotonic()
    run = RunStore.open(plan_uri)
    earlier = run.read_earlier_result(index)
    if isinstance(earlier, Receipt):
        return earlier
    description, model = load(run.plan.model)
    # The plan's score threshold may differ from the package's.
    threshold = run.plan.output_spec.score_threshold
    description = msgspec.structs.replace(description, score_threshold=threshold)
    with open_attempt(run, index, description, model, resume=earlier is not None) as attempt:
        if not attempt.infer(stop, progress, checkpoint_seconds=checkpoint_seconds):
            attempt.checkpoint()
            raise ShardInterruptedError(
                f"stopped before tile {attempt.next_tile}; run the shard again to resume from there"
            )
        attempt.finish()
    return run.write_receipt(attempt.receipt(seconds=time.monotonic() - started))


def write_failed_receipt(plan_uri: str, index: int, error: InputError) -> Receipt:
    """Write a receipt that counts every tile of a shard as failed, since the shard cannot be run.

    The merge then reports the error. If the job or the Lambda function failed instead, Step
    Functions would report only an exit code or a number of failures.

    Args:
        plan_uri: Address of the plan.
        index: Number of the shard, from 0.
        error: Error that prevents the shard from running.

    Returns:
        The receipt.
    """
    run = RunStore.open(plan_uri)
    plan = run.plan
    tiles = plan.tiles(index)
    first = plan.grid.tile(int(tiles[0]))
    cause = f"{type(error).__name__}: {error}"
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        plan_fingerprint=plan.fingerprint,
        tiles=TileCounts(planned=len(tiles), failed=len(tiles)),
        detections=0,
        seconds=0.0,
        failures=[TileFailure(tile=first.index, column=first.x, row=first.y, cause=cause)],
    )
    return run.write_receipt(receipt)


@functools.lru_cache(maxsize=1)
def _load_once(uri: str, digest: str) -> tuple[ModelDescription, Model]:
    package = load_package(uri, digest=digest)
    return package.description, load_model(package)
