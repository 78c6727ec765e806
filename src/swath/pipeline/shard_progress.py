"""Keep the progress of a shard: its detections so far, with checkpoints to resume from."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from swath import storage
from swath._types import TilePredicate
from swath.detection.detections import Detections
from swath.detection.engine import Inference
from swath.detection.parquet import DetectionsWriter, read_detections, read_metadata
from swath.messages import Payload, TileCounts, TileFailure
from swath.raster.radiometry.sampling import Samples

_PROGRESS_KEY = "swath:progress"


class SavedProgress(Payload, frozen=True, kw_only=True):
    """Progress of an interrupted shard, stored in the metadata of its file of detections."""

    next_tile: int
    """Number of the next tile; all tiles before it are accounted for."""
    tiles: TileCounts
    failures: list[TileFailure]
    samples: str = ""
    """Samples of the tiles so far: `Samples.to_bytes`, zlib, base64."""
    invalid: str = ""
    """Counts of the invalid pixels so far: `InvalidCells.to_bytes`, base64."""


class ShardProgress:
    """Detections of a shard so far: final ones are in a local file, flagged ones in memory.

    Flagged detections may need stitching with those of other tiles.

    Attributes:
        inference: Inference of the shard's tiles.
        path: Local Parquet file of detections.
        out: Writer of the file; `reopen` replaces it.
    """

    def __init__(self, inference: Inference, path: Path) -> None:
        """Create the file.

        Args:
            inference: Inference of the shard's tiles.
            path: Local file to write.
        """
        self.inference = inference
        self.path = path
        self._open_writer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.out.__exit__(kind, error, trace)

    def resume(self, partial: str) -> None:
        """Resume an interrupted attempt: restore its detections and its position.

        Args:
            partial: Address of the file that `checkpoint` wrote.
        """
        with storage.reading(partial) as path:
            progress = _read_progress(path)
            for detections in read_detections(path):
                self._add(detections)
        self.inference.next_tile = progress.next_tile
        self.inference.tiles = progress.tiles
        self.inference.failures = progress.failures
        if progress.samples:
            self.inference.samples = [self._decode_samples(progress.samples)]
        if progress.invalid:
            self.inference.invalid.add_bytes(base64.b64decode(progress.invalid))

    def infer(self, tiles: list[int]) -> Iterator[None]:
        """Infer the remaining tiles; yield after each batch except the last.

        Args:
            tiles: Sorted numbers of the shard's tiles.
        """
        remaining = [tile for tile in tiles if tile >= self.inference.next_tile]
        for detections in self.inference.run(remaining):
            self._add(detections)
            if self.inference.next_tile > remaining[-1]:
                break
            yield

    def checkpoint(self, uri: str) -> str:
        """Close the local file and copy it to an address; return its SHA-256.

        The file has all detections so far, flagged ones included, and the progress.
        """
        self.out.append(Detections.concatenate(self._flagged))
        progress = SavedProgress(
            next_tile=self.inference.next_tile,
            tiles=self.inference.tiles,
            failures=self.inference.failures,
            samples=self._encode_samples(),
            invalid=base64.b64encode(self.inference.invalid.to_bytes()).decode(),
        )
        self.out.add_metadata(_PROGRESS_KEY, msgspec.json.encode(progress).decode())
        self.out.close()
        storage.copy(str(self.path), uri)
        return storage.digest(self.path)

    def reopen(self) -> None:
        """Replace the closed file by an open one with the same detections.

        A Parquet file ends with its footer, so nothing can be appended to the closed one.
        """
        closed = self.path.with_name(f"{self.path.name}.ended")
        self.path.rename(closed)
        try:
            self._open_writer()
            for detections in read_detections(closed):
                self._add(detections)
        finally:
            closed.unlink()

    def finish(self, inside: TilePredicate) -> Detections:
        """Stitch the detections within the shard, write the final ones and close the file.

        Args:
            inside: Predicate for arrays of tile numbers: whether each tile belongs to the shard.

        Returns:
            The detections that the merge must stitch with those of other shards.
        """
        flagged = Detections.concatenate(self._flagged)
        final, undecided = self.inference.task.stitch_interior(flagged, inside)
        self.out.finish(final.sorted_by_tile())
        self.out.close()
        return undecided

    def _encode_samples(self) -> str:
        samples = Samples.concatenate(self.inference.samples, len(self.inference.bands))
        return base64.b64encode(zlib.compress(samples.to_bytes())).decode() if len(samples) else ""

    def _decode_samples(self, text: str) -> Samples:
        data = zlib.decompress(base64.b64decode(text))
        return Samples.from_bytes(data, len(self.inference.bands))

    def _open_writer(self) -> None:
        self.out = DetectionsWriter(self.path)
        self._flagged: list[Detections] = []

    def _add(self, detections: Detections) -> None:
        flagged = detections.flags != 0
        self.out.append(detections.take(~flagged))
        self._flagged.append(detections.take(flagged))


def _read_progress(path: Path) -> SavedProgress:
    return msgspec.json.decode(read_metadata(path, _PROGRESS_KEY), type=SavedProgress)
