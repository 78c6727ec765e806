"""A shard: from tiles of a scene to detections in a Parquet file, and a receipt that says so.

What no other shard has a say in is settled here. Of the rest, which touches the shard's edge, the
merge is told in a file of its own. Memory grows with the model's batch and with what lies on seams
within the shard, never with the scene.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from swath import storage
from swath.detections import Detections, DetectionsWriter, read_detections, read_note
from swath.errors import InputError, SceneChangedError, ShardInterruptedError
from swath.inference import Inference
from swath.mlm import ModelDescription
from swath.package import load_package
from swath.payloads import Payload, Receipt, TileCounts, TileFailure
from swath.plan import Plan
from swath.runtimes.model import Model, load_model
from swath.scene import open_scene, select_bands
from swath.segmentation.masks import MaskPart, extent, writing_part
from swath.storage import RunPaths
from swath.tasks import Inside, Task, task_of

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
    # What an earlier attempt finished with failures is done anew, its tiles all tried again.
    resume = done is None and _was_interrupted(paths, index, description)
    with (
        open_scene(plan.scene.uri, etag=plan.scene.etag) as scene,
        storage.writing(paths.shard(index)) as path,
        _mask(plan, paths, index, description, resume=resume) as mask,
    ):
        inference = Inference(
            scene=scene,
            bands=select_bands(scene.info, description.bands),
            grid=plan.grid,
            description=description,
            model=model,
            on_labels=mask.write if mask else None,
        )
        with DetectionsWriter(path) as out:
            findings = _Findings(inference, out)
            if resume:
                findings.take_up(paths.partial(index))
            finished = findings.infer(plan.tiles(index).tolist(), stop)
            task = task_of(description, plan.grid)
            seams = findings.settle(task, _inside(plan, index)) if finished else findings.keep()
        if not finished:
            _keep(path, mask, paths, index)
            raise ShardInterruptedError(
                f"stopped before tile {inference.next_tile}; "
                "run the shard again and it goes on from there"
            )
        _check_unchanged(plan)
        _write_seams(paths.seams(index), seams)
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        tiles=inference.tiles,
        detections=out.count,
        seams=len(seams),
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


def _was_interrupted(paths: RunPaths, index: int, description: ModelDescription) -> bool:
    """Whether an earlier attempt left what it had found, all of it."""
    left = [paths.partial(index)] + [paths.partial_mask(index)] * description.mask
    return all(storage.exists(uri) for uri in left)


def _mask(
    plan: Plan, paths: RunPaths, index: int, description: ModelDescription, *, resume: bool
) -> AbstractContextManager[MaskPart | None]:
    """The shard's part of the mask, if the model package asks for one."""
    if not description.mask:
        return nullcontext()
    return writing_part(
        paths.mask_part(index),
        extent(plan.grid, plan.tiles(index)),
        earlier=paths.partial_mask(index) if resume else None,
    )


@functools.lru_cache(maxsize=1)
def _loaded(uri: str, digest: str) -> tuple[ModelDescription, Model]:
    """The model, kept for the next shard of this process."""
    package = load_package(uri, digest=digest)
    return package.description, load_model(package)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the tiles of a shard see: in its file what is settled, in memory what is not yet."""

    inference: Inference
    out: DetectionsWriter
    flagged: list[Detections] = field(default_factory=list)

    def take_up(self, partial: str) -> None:
        """Take over what an interrupted attempt found, and how far it came."""
        with storage.reading(partial) as path:
            progress = msgspec.json.decode(read_note(path, _PROGRESS), type=Progress)
            for found in read_detections(path):
                self._add(found)
        self.inference.next_tile = progress.next_tile
        self.inference.tiles = progress.tiles
        self.inference.failures = progress.failures

    def infer(self, tiles: list[int], stop: Callable[[], bool]) -> bool:
        """Go on to the last tile; False if `stop` said so before."""
        left = [tile for tile in tiles if tile >= self.inference.next_tile]
        for found in self.inference.run(left):
            self._add(found)
            if self.inference.next_tile <= left[-1] and stop():
                return False
        return True

    def keep(self) -> Detections:
        """End the file so that another attempt can take it up; returns what is not settled."""
        flagged = Detections.concatenate(self.flagged)
        self.out.append(flagged)
        self.out.note(_PROGRESS, _progress(self.inference))
        return flagged

    def settle(self, task: Task, inside: Inside) -> Detections:
        """End the file with what is settled within the shard; returns what is not."""
        settled, others = task.settle_inside(Detections.concatenate(self.flagged), inside)
        self.out.finish(settled.ordered())
        return others

    def _add(self, found: Detections) -> None:
        flagged = found.flags != 0
        self.out.append(found.take(~flagged))
        self.flagged.append(found.take(flagged))


def _inside(plan: Plan, index: int) -> Inside:
    return lambda tiles: plan.shard_of(tiles) == index


def _keep(path: Path, mask: MaskPart | None, paths: RunPaths, index: int) -> None:
    """Put what there is where another attempt finds it; last, what says how far it came."""
    if mask:
        mask.keep(paths.partial_mask(index))
    storage.copy(str(path), paths.partial(index))


def _write_seams(uri: str, seams: Detections) -> None:
    if len(seams):
        with storage.writing(uri) as path, DetectionsWriter(path) as out:
            out.append(seams)


def _progress(inference: Inference) -> str:
    progress = Progress(
        next_tile=inference.next_tile, tiles=inference.tiles, failures=inference.failures
    )
    return msgspec.json.encode(progress).decode()


def _check_unchanged(plan: Plan) -> None:
    """So that no detection is kept of a scene that was replaced while it was read."""
    if storage.etag(plan.scene.uri) != plan.scene.etag:
        raise SceneChangedError(f"{plan.scene.uri} was replaced while its run was under way")
