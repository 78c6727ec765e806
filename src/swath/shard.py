"""A shard: from tiles of a scene to detections in a Parquet file, and a receipt that says so.

Memory grows with the model's batch, never with the shard or the scene.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from swath import storage
from swath.detections import DetectionsWriter, read_detections, read_note
from swath.errors import InputError, SceneChangedError, ShardInterruptedError
from swath.inference import Inference
from swath.mlm import ModelDescription
from swath.package import load_package
from swath.payloads import Payload, Receipt, TileCounts, TileFailure
from swath.plan import Plan
from swath.runtime import Model, load_model
from swath.scene import open_scene, select_bands
from swath.storage import RunPaths

_PROGRESS = "swath:progress"


class Progress(Payload, frozen=True, kw_only=True):
    """How far a shard came before its host was reclaimed; kept in the file of what it found."""

    next_tile: int
    tiles: TileCounts
    failures: list[TileFailure]


def run_shard(plan_uri: str, index: int, *, stop: Callable[[], bool] = lambda: False) -> Receipt:
    """Find what the model sees in one shard of a plan.

    A shard whose receipt tells of no failure is done. One with failures is run again: what failed
    may have been the network.

    Args:
        plan_uri: where the plan lies.
        index: which of its shards.
        stop: asked after each batch; once it says yes, progress is kept and the shard ends.

    Raises:
        SceneError: the scene cannot be opened. One bad tile raises nothing.
        SceneChangedError: it is no longer the scene that was planned.
        PackageError: the model package cannot be used, or is no longer the one of the plan.
        ShardInterruptedError: `stop` said so.
    """
    paths = RunPaths.of_plan(plan_uri)
    done = read_receipt(paths, index)
    if done is not None and not done.tiles.failed:
        return done
    started = time.monotonic()
    plan = Plan.from_json(storage.read_json(plan_uri))
    description, model = _loaded(plan.model.uri, plan.model.digest)
    with (
        open_scene(plan.scene.uri, etag=plan.scene.etag) as scene,
        storage.writing(paths.shard(index)) as path,
    ):
        inference = Inference(
            scene=scene,
            bands=select_bands(scene.info, description.bands),
            grid=plan.grid,
            description=description,
            model=model,
        )
        partial = paths.partial(index)
        # What an earlier attempt finished with failures is done anew, its tiles all tried again.
        earlier = partial if done is None and storage.exists(partial) else None
        count = _find(inference, plan.tiles(index).tolist(), path, earlier, partial, stop)
        _check_unchanged(plan)
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        tiles=inference.tiles,
        detections=count,
        seconds=round(time.monotonic() - started, 3),
        failures=inference.failures,
    )
    storage.write_json(paths.receipt(index), receipt.to_json())
    return receipt


def refuse_shard(plan_uri: str, index: int, error: InputError) -> Receipt:
    """Write the receipt of a shard that cannot be run at all: each of its tiles failed.

    So the merge can tell why. A job or function that failed instead would be known to the run by
    its exit code, or by how many of its kind failed, and its reason by nobody.
    """
    plan = Plan.from_json(storage.read_json(plan_uri))
    tiles = plan.tiles(index)
    first = plan.grid.tile(int(tiles[0]))
    cause = f"{type(error).__name__}: {error}"
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        tiles=TileCounts(planned=len(tiles), failed=len(tiles)),
        detections=0,
        seconds=0.0,
        failures=[TileFailure(tile=first.index, column=first.x, row=first.y, cause=cause)],
    )
    storage.write_json(RunPaths.of_plan(plan_uri).receipt(index), receipt.to_json())
    return receipt


def read_receipt(paths: RunPaths, index: int) -> Receipt | None:
    """The receipt of a shard, if it has one."""
    try:
        return Receipt.from_json(storage.read_json(paths.receipt(index)))
    except FileNotFoundError:
        return None


@functools.lru_cache(maxsize=1)
def _loaded(uri: str, digest: str) -> tuple[ModelDescription, Model]:
    """The model, kept for the next shard of this process."""
    package = load_package(uri, digest=digest)
    return package.description, load_model(package)


def _find(
    inference: Inference,
    tiles: list[int],
    path: Path,
    earlier: str | None,
    partial: str,
    stop: Callable[[], bool],
) -> int:
    """Write what the tiles see to `path`, going on from `earlier`; how many detections.

    If it is stopped, what there is goes to `partial`.
    """
    with DetectionsWriter(path) as out:
        if earlier:
            _take_up(inference, earlier, out)
        left = [tile for tile in tiles if tile >= inference.next_tile]
        for found in inference.run(left):
            out.append(found)
            if inference.next_tile <= left[-1] and stop():
                out.note(_PROGRESS, _progress(inference))
                break
        else:
            return out.count
    storage.copy(str(path), partial)
    raise ShardInterruptedError(
        f"stopped before tile {inference.next_tile}; run the shard again and it goes on from there"
    )


def _take_up(inference: Inference, earlier: str, out: DetectionsWriter) -> None:
    """Take over what an interrupted attempt found."""
    with storage.reading(earlier) as path:
        progress = msgspec.json.decode(read_note(path, _PROGRESS), type=Progress)
        for found in read_detections(path):
            out.append(found)
    inference.next_tile = progress.next_tile
    inference.tiles = progress.tiles
    inference.failures = progress.failures


def _progress(inference: Inference) -> str:
    progress = Progress(
        next_tile=inference.next_tile, tiles=inference.tiles, failures=inference.failures
    )
    return msgspec.json.encode(progress).decode()


def _check_unchanged(plan: Plan) -> None:
    """So that no detection is kept of a scene that was replaced while it was read."""
    if storage.etag(plan.scene.uri) != plan.scene.etag:
        raise SceneChangedError(f"{plan.scene.uri} was replaced while its run was under way")
