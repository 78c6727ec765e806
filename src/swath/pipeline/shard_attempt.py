"""Carry out one attempt at a shard: start or resume, infer, then finish or write a checkpoint."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from swath import storage
from swath.detection.detections import Detections
from swath.detection.engine import Inference
from swath.detection.parquet import DetectionsWriter
from swath.detection.segmentation.mask_raster import MaskPart, extent, open_mask_part
from swath.errors import SceneChangedError
from swath.messages import Receipt, SceneRef
from swath.models.mlm import ModelDescription
from swath.models.runtimes.base import Model
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard_progress import ShardProgress
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import AssetRef, BandStack
from swath.raster.radiometry.sampling import Samples

_MAX_CHECKED_AT_ONCE = 8
"""Maximum number of files whose ETags are compared at once."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class ShardAttempt:
    """Attempt at one shard.

    Attributes:
        run: Objects of the run.
        index: Number of the shard.
        inference: Inference of the shard's tiles.
        progress: Detections of the tiles that are done.
        mask: The shard's part of the mask; None if the model package asks for no mask.
        started_at: Time at which the attempt started, in s, by `time.monotonic`.
        first_tile: Tile number at which the attempt starts; 0 unless it resumes from a checkpoint.
    """

    run: RunStore
    index: int
    inference: Inference
    progress: ShardProgress
    mask: MaskPart | None
    started_at: float
    first_tile: int
    _files: dict[str, str] = field(default_factory=dict)
    _sample_count: int = 0
    _seam_count: int = 0

    @property
    def next_tile(self) -> int:
        """Number of the next tile; all tiles before it are accounted for."""
        return self.inference.next_tile

    def infer(
        self,
        stop: Callable[[], bool],
        report: Callable[[int], None],
        *,
        checkpoint_seconds: float,
    ) -> bool:
        """Infer the remaining tiles, with regular checkpoints.

        Args:
            stop: Function called after each batch; the attempt ends once it returns True.
            report: Callback after each batch but the last. Its argument is the number of tiles that
                are done.
            checkpoint_seconds: Minimum time in s from one checkpoint to the next.

        Returns:
            False if `stop` ended the attempt before the last tile, True otherwise.
        """
        last = time.monotonic()
        for _ in self.progress.infer(self.run.plan.tiles(self.index).tolist()):
            if stop():
                return False
            if time.monotonic() - last >= checkpoint_seconds:
                self.checkpoint()
                self.progress.reopen()
                last = time.monotonic()
            report(self.inference.tiles.planned)
        return True

    def checkpoint(self) -> None:
        """Write a checkpoint, from which another attempt can resume, and close the local file."""
        partial = self.run.paths.partial(self.index)
        files = {storage.file_name(partial): self.progress.checkpoint(partial)}
        if self.mask:
            partial_mask = self.run.paths.partial_mask(self.index)
            files[storage.file_name(partial_mask)] = self.mask.checkpoint(partial_mask)
        self.run.write_checkpoint(self.index, files)
        logger.info("shard %d: checkpoint before tile %d", self.index, self.next_tile)

    def finish(self) -> None:
        """Stitch the detections within the shard, and write all its files except the receipt.

        Raises:
            SceneChangedError: The scene was replaced or deleted while it was read.
        """
        seams = self.progress.finish(self.run.plan.contains(self.index))
        check_scene_unchanged(self.run.plan.scene, self.run.plan.stack)
        paths, index = self.run.paths, self.index
        self._record_digest(paths.shard(index), storage.digest(self.progress.path))
        if self.mask:
            self._record_digest(paths.mask_part(index), self.mask.digest())
        if len(seams):
            self._seam_count = len(seams)
            self._record_digest(paths.seams(index), _write_seams(paths.seams(index), seams))
        samples = Samples.concatenate(self.inference.samples, len(self.inference.bands))
        if len(samples):
            self._sample_count = len(samples)
            data = samples.to_bytes()
            self._record_digest(paths.samples(index), _write_bytes(paths.samples(index), data))
        if invalid := self.inference.invalid.to_bytes():
            uri = paths.invalid_cells(index)
            self._record_digest(uri, _write_bytes(uri, invalid))

    def receipt(self, *, seconds: float) -> Receipt:
        """Return the receipt of the shard; call this only after `finish`.

        Args:
            seconds: Duration of the attempt in s, including loading the model.
        """
        plan, inference = self.run.plan, self.inference
        pixels = plan.count_pixels(self.index, from_tile=self.first_tile)
        return Receipt(
            run_id=plan.run_id,
            index=self.index,
            plan_fingerprint=plan.fingerprint,
            tiles=inference.tiles,
            detections=self.progress.out.count,
            seams=self._seam_count,
            seconds=round(seconds, 3),
            samples=self._sample_count,
            failures=inference.failures,
            invalid_pixels=inference.invalid.total,
            warnings=inference.warnings,
            engine=inference.model.engine,
            pixels_per_second=round(pixels / (time.monotonic() - self.started_at)),
            files=self._files,
        )

    def _record_digest(self, uri: str, digest: str) -> None:
        self._files[storage.file_name(uri)] = digest


@contextmanager
def open_attempt(
    run: RunStore, index: int, description: ModelDescription, model: Model, *, resume: bool
) -> Iterator[ShardAttempt]:
    """Start an attempt at a shard, or resume an interrupted one.

    The shard's detections and its part of the mask are written to their addresses when the block
    ends without an error.

    Args:
        run: Objects of the run.
        index: Number of the shard.
        description: Description of the model, with the score threshold of the run.
        model: Loaded model.
        resume: Whether the attempt resumes from the shard's checkpoint.

    Raises:
        SceneError: The scene cannot be opened.
        SceneChangedError: The scene is no longer the one that was planned.
    """
    started_at = time.monotonic()
    plan, paths = run.plan, run.paths
    storage.configure_access(plan.scene.uri, plan.scene_access)
    with (
        open_model_scene(
            plan.scene.uri, description.band_needs, etag=plan.scene.etag, stack=plan.stack
        ) as opened,
        storage.writing(paths.shard(index)) as path,
        _writing_mask(run, index, description, resume=resume) as mask,
    ):
        inference = Inference(
            scene=opened.scene,
            bands=opened.bands,
            grid=plan.grid,
            description=description,
            model=model,
            on_labels=mask.write if mask else None,
        )
        with ShardProgress(inference, path) as progress:
            if resume:
                progress.resume(paths.partial(index))
                logger.info("shard %d resumes at tile %d", index, inference.next_tile)
            yield ShardAttempt(
                run=run,
                index=index,
                inference=inference,
                progress=progress,
                mask=mask,
                started_at=started_at,
                first_tile=inference.next_tile,
            )


def check_scene_unchanged(scene: SceneRef, stack: BandStack | None) -> None:
    """Check that a scene was neither replaced nor deleted while this process read it.

    Args:
        scene: Scene of the run. If it has a document, the document is checked too.
        stack: Files of the scene; None for a scene of one file on its own grid.

    Raises:
        SceneChangedError: A file is missing, or its ETag has changed.
    """
    files = list(stack.assets) if stack else []
    if stack is None or scene.assets:
        files.append(AssetRef(uri=scene.uri, etag=scene.etag))
    uris = [file.uri for file in files]
    with ThreadPoolExecutor(_MAX_CHECKED_AT_ONCE) as pool:
        for file, current in zip(files, pool.map(storage.etag, uris), strict=True):
            if current != file.etag:
                change = "replaced" if current else "deleted"
                raise SceneChangedError(f"{file.uri} was {change} while its run was in progress")


def _writing_mask(
    run: RunStore, index: int, description: ModelDescription, *, resume: bool
) -> AbstractContextManager[MaskPart | None]:
    """Open the shard's part of the mask for writing; None if the package asks for no mask."""
    if not description.mask:
        return nullcontext()
    return open_mask_part(
        run.paths.mask_part(index),
        extent(run.plan.grid, run.plan.tiles(index)),
        earlier=run.paths.partial_mask(index) if resume else None,
    )


def _write_seams(uri: str, seams: Detections) -> str:
    """Write the detections that the merge stitches; return the file's SHA-256."""
    with storage.writing(uri) as path:
        with DetectionsWriter(path) as out:
            out.append(seams)
        return storage.digest(path)


def _write_bytes(uri: str, data: bytes) -> str:
    """Write a file of the shard; return its SHA-256."""
    storage.write_bytes(uri, data)
    return hashlib.sha256(data).hexdigest()
