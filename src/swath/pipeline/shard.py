"""A shard: from tiles of a scene to detections in a Parquet file, and a receipt that says so.

What no other shard has a say in is settled here. Of the rest, which touches the shard's edge, the
merge is told in a file of its own. Memory grows with the model's batch and with what lies on seams
within the shard, never with the scene.
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

KEEP_SECONDS = 180.0
"""A Spot host may be gone without a word to its containers, so a shard keeps its progress: what it
loses is three minutes at most, and keeping takes a second or two."""

Load = Callable[[ModelRef], tuple[ModelDescription, Model]]
"""How a process comes by the model of a plan."""


def load_kept(ref: ModelRef) -> tuple[ModelDescription, Model]:
    """The model of a plan, kept for the next shard of this process.

    Raises:
        PackageError: the model package cannot be used, or is no longer the one of the plan.
    """
    return _loaded(ref.uri, ref.digest)


def run_shard(
    plan_uri: str,
    index: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    load: Load = load_kept,
    keep_seconds: float = KEEP_SECONDS,
    progress: Callable[[int], None] = lambda _: None,
) -> Receipt:
    """Find what the model sees in one shard of a plan.

    A shard whose receipt tells of no failure is done, if the files are there that the receipt
    vouches for. One with failures is run again: what failed may have been the network.

    Args:
        plan_uri: where the plan lies.
        index: which of its shards.
        stop: asked after each batch; once it says yes, progress is kept and the shard ends.
        load: gives the plan's model.
        keep_seconds: how often progress is kept meanwhile, for a process that is killed.
        progress: called after each batch but the last, with how many tiles of the shard are done.

    Raises:
        NoGpuError: there is a GPU, or there was to be one, and it cannot be used.
        SceneError: the scene cannot be opened. One bad tile raises nothing.
        SceneChangedError: it is no longer the scene that was planned.
        PackageError: the model package cannot be used, or is no longer the one of the plan.
        ShardInterruptedError: `stop` said so.
    """
    started = time.monotonic()
    run = RunStore.open(plan_uri)
    earlier = run.earlier_attempt(index)
    if isinstance(earlier, Receipt):
        return earlier
    description, model = load(run.plan.model)
    # The plan may have another threshold than the package.
    threshold = run.plan.answer.score_threshold
    description = msgspec.structs.replace(description, score_threshold=threshold)
    with open_attempt(run, index, description, model, resume=earlier is not None) as attempt:
        if not attempt.infer(stop, progress, checkpoint_seconds=keep_seconds):
            attempt.checkpoint()
            raise ShardInterruptedError(
                f"stopped before tile {attempt.next_tile}; "
                "run the shard again and it goes on from there"
            )
        attempt.finish()
    return run.write_receipt(attempt.receipt(seconds=time.monotonic() - started))


def refuse_shard(plan_uri: str, index: int, error: InputError) -> Receipt:
    """Write the receipt of a shard that cannot be run at all: each of its tiles failed.

    So the merge can tell why. A job or function that failed instead would be known to the run by
    its exit code, or by how many of its kind failed, and its reason by nobody.
    """
    run = RunStore.open(plan_uri)
    plan = run.plan
    tiles = plan.tiles(index)
    first = plan.grid.tile(int(tiles[0]))
    cause = f"{type(error).__name__}: {error}"
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        layout=plan.layout,
        tiles=TileCounts(planned=len(tiles), failed=len(tiles)),
        detections=0,
        seconds=0.0,
        failures=[TileFailure(tile=first.index, column=first.x, row=first.y, cause=cause)],
    )
    return run.write_receipt(receipt)


@functools.lru_cache(maxsize=1)
def _loaded(uri: str, digest: str) -> tuple[ModelDescription, Model]:
    package = load_package(uri, digest=digest)
    return package.description, load_model(package)
