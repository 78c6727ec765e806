"""A shard: from tiles of a scene to detections in a Parquet file, and a receipt that says so.

What no other shard has a say in is settled here. Of the rest, which touches the shard's edge, the
merge is told in a file of its own. Memory grows with the model's batch and with what lies on seams
within the shard, never with the scene.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from swath import storage
from swath.detection.detections import Detections, DetectionsWriter
from swath.detection.engine import Inference
from swath.detection.segmentation.mask_raster import MaskPart, extent, writing_part
from swath.errors import InputError, PayloadError, SceneChangedError, ShardInterruptedError
from swath.messages import Checkpoint, ModelRef, Receipt, SceneRef, TileCounts, TileFailure
from swath.models.mlm import ModelDescription
from swath.models.package import load_package
from swath.models.runtimes.base import Model
from swath.models.runtimes.load import load_model
from swath.pipeline.paths import RunPaths
from swath.pipeline.plan import Plan, read_plan
from swath.pipeline.shard_progress import Findings
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.sampling import Samples
from swath.raster.scene import open_scene
from swath.storage.checked_json import read_checked, write_checked

logger = logging.getLogger(__name__)

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
    paths = RunPaths.of_plan(plan_uri)
    started = time.monotonic()
    plan = read_plan(plan_uri)
    done = read_receipt(paths, index, plan.layout)
    if done is not None and not done.tiles.failed and _are_there(paths, done.files):
        return done
    description, model = load(plan.model)
    # The plan may have another threshold than the package.
    description = msgspec.structs.replace(description, score_threshold=plan.answer.score_threshold)
    began = time.monotonic()
    # What an earlier attempt finished with failures is done anew, its tiles all tried again.
    resume = done is None and _was_interrupted(plan, paths, index)
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
        with Findings(inference, path) as findings:
            if resume:
                findings.take_up(paths.partial(index))
                logger.info("shard %d goes on from tile %d", index, inference.next_tile)
            before = inference.next_tile
            keeper = _Keeper(
                findings=findings,
                mask=mask,
                paths=paths,
                layout=plan.layout,
                index=index,
                seconds=keep_seconds,
            )

            def after_batch() -> None:
                keeper.now_and_then()
                progress(inference.tiles.planned)

            if not findings.infer(plan.tiles(index).tolist(), stop, after_batch):
                keeper.keep()
                raise ShardInterruptedError(
                    f"stopped before tile {inference.next_tile}; "
                    "run the shard again and it goes on from there"
                )
            seams = findings.settle(plan.holds(index))
        require_unchanged(plan.scene)
        files = {storage.name(paths.shard(index)): storage.digest(path)}
        if mask:
            files[storage.name(paths.mask_part(index))] = mask.digest()
        if len(seams):
            files[storage.name(paths.seams(index))] = _write_seams(paths.seams(index), seams)
        samples = Samples.join(inference.samples, len(inference.bands))
        if len(samples):
            data = samples.to_bytes()
            storage.write_bytes(paths.samples(index), data)
            files[storage.name(paths.samples(index))] = hashlib.sha256(data).hexdigest()
    receipt = Receipt(
        run_id=plan.run_id,
        index=index,
        layout=plan.layout,
        tiles=inference.tiles,
        detections=findings.out.count,
        seams=len(seams),
        seconds=round(time.monotonic() - started, 3),
        samples=len(samples),
        failures=inference.failures,
        warnings=inference.warnings,
        engine=model.engine,
        pixels_per_second=round(_pixels(plan, index, before) / (time.monotonic() - began)),
        files=files,
    )
    write_checked(paths.receipt(index), receipt.to_json())
    return receipt


def refuse_shard(plan_uri: str, index: int, error: InputError) -> Receipt:
    """Write the receipt of a shard that cannot be run at all: each of its tiles failed.

    So the merge can tell why. A job or function that failed instead would be known to the run by
    its exit code, or by how many of its kind failed, and its reason by nobody.
    """
    plan = read_plan(plan_uri)
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
    write_checked(RunPaths.of_plan(plan_uri).receipt(index), receipt.to_json())
    return receipt


def read_receipt(paths: RunPaths, index: int, layout: str) -> Receipt | None:
    """The receipt of a shard, if it has one that can be read.

    One of another shard, of another run or of an earlier plan's shard does not count.
    """
    try:
        receipt = Receipt.from_json(read_checked(paths.receipt(index)))
    except (FileNotFoundError, ValueError, PayloadError):
        return None
    found = (receipt.run_id, receipt.index, receipt.layout)
    return receipt if found == (paths.run_id, index, layout) else None


def _are_there(paths: RunPaths, files: Mapping[str, str]) -> bool:
    """Whether some of a run's shards' files are those that a receipt or checkpoint vouches for."""

    def is_there(name: str) -> bool:
        try:
            with storage.reading(paths.shard_file(name)) as path:
                return storage.digest(path) == files[name]
        except FileNotFoundError:
            return False

    return bool(files) and all(map(is_there, files))


def _pixels(plan: Plan, index: int, first: int) -> int:
    """Count the pixels in the cores of a shard's tiles, from some tile on."""
    tiles = plan.tiles(index)
    x0, y0, x1, y1 = plan.grid.cores(tiles[tiles >= first]).T
    return int(((x1 - x0) * (y1 - y0)).sum())


def _was_interrupted(plan: Plan, paths: RunPaths, index: int) -> bool:
    """Whether an earlier attempt at this very shard left what it had found, all of it."""
    try:
        checkpoint = Checkpoint.from_json(read_checked(paths.checkpoint(index)))
    except (FileNotFoundError, ValueError, PayloadError):
        return False
    return checkpoint.layout == plan.layout and _are_there(paths, checkpoint.files)


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
    package = load_package(uri, digest=digest)
    return package.description, load_model(package)


@dataclass(slots=True, kw_only=True)
class _Keeper:
    """Keeps the progress of a shard where another attempt finds it."""

    findings: Findings
    mask: MaskPart | None
    paths: RunPaths
    layout: str
    index: int
    seconds: float
    """From one time to the next."""
    _last: float = field(default_factory=time.monotonic)

    def keep(self) -> None:
        """Keep it; last, what vouches for its files."""
        partial, partial_mask = self.paths.partial(self.index), self.paths.partial_mask(self.index)
        files = {storage.name(partial): self.findings.keep(partial)}
        if self.mask:
            files[storage.name(partial_mask)] = self.mask.keep(partial_mask)
        checkpoint = Checkpoint(layout=self.layout, files=files)
        write_checked(self.paths.checkpoint(self.index), checkpoint.to_json())
        next_tile = self.findings.inference.next_tile
        logger.info("shard %d: progress kept before tile %d", self.index, next_tile)

    def now_and_then(self) -> None:
        """Keep it if the last time is long ago, and go on."""
        if time.monotonic() - self._last >= self.seconds:
            self.keep()
            self.findings.go_on()
            self._last = time.monotonic()


def _write_seams(uri: str, seams: Detections) -> str:
    """Write what other shards have a say in; return the file's SHA-256."""
    with storage.writing(uri) as path:
        with DetectionsWriter(path) as out:
            out.append(seams)
        return storage.digest(path)


def require_unchanged(scene: SceneRef) -> None:
    """Let no detection be kept of a scene that was replaced while it was read.

    Raises:
        SceneChangedError: it is gone, or other bytes lie at its address.
    """
    found = storage.etag(scene.uri)
    if found != scene.etag:
        what = "replaced" if found else "deleted"
        raise SceneChangedError(f"{scene.uri} was {what} while its run was under way")
