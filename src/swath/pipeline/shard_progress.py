"""The progress of a shard: its detections so far, kept every few minutes and when it is stopped."""

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
from swath.detection.parquet import DetectionsWriter, read_detections, read_note
from swath.messages import Payload, TileCounts, TileFailure
from swath.raster.radiometry.sampling import Samples

_PROGRESS = "swath:progress"


class Progress(Payload, frozen=True, kw_only=True):
    """Progress of a shard that was interrupted, kept in the file of its detections."""

    next_tile: int
    tiles: TileCounts
    failures: list[TileFailure]
    samples: str = ""
    """Samples of the tiles so far: `Samples.to_bytes`, zlib, base64."""


class ShardProgress:
    """Detections of a shard's tiles: in its file those that are settled, in memory the others.

    Attributes:
        inference: Inference of the shard's tiles.
        path: Local file of detections.
        out: Writer of the file; another one after each `reopen`.
    """

    def __init__(self, inference: Inference, path: Path) -> None:
        """Begin a file.

        Args:
            inference: Inference of the shard's tiles.
            path: Local file to write.
        """
        self.inference = inference
        self.path = path
        self._begin()

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
        """Take over the detections of an interrupted attempt, and go on where it ended."""
        with storage.reading(partial) as path:
            progress = _progress(path)
            for found in read_detections(path):
                self._add(found)
        self.inference.next_tile = progress.next_tile
        self.inference.tiles = progress.tiles
        self.inference.failures = progress.failures
        if progress.samples:
            self.inference.samples = [self._unpack(progress.samples)]

    def infer(self, tiles: list[int]) -> Iterator[None]:
        """Infer the tiles that are left; pause after each batch that others follow.

        Args:
            tiles: Numbers of the shard's tiles, increasing.
        """
        left = [tile for tile in tiles if tile >= self.inference.next_tile]
        for found in self.inference.run(left):
            self._add(found)
            if self.inference.next_tile > left[-1]:
                break
            yield

    def checkpoint(self, uri: str) -> str:
        """End the file, and copy it to where another attempt resumes; return its SHA-256."""
        self.out.append(Detections.concatenate(self._flagged))
        progress = Progress(
            next_tile=self.inference.next_tile,
            tiles=self.inference.tiles,
            failures=self.inference.failures,
            samples=self._pack(),
        )
        self.out.note(_PROGRESS, msgspec.json.encode(progress).decode())
        self.out.close()
        storage.copy(str(self.path), uri)
        return storage.digest(self.path)

    def reopen(self) -> None:
        """Begin another file with all that the last one holds: a Parquet file has but one end."""
        ended = self.path.with_name(f"{self.path.name}.ended")
        self.path.rename(ended)
        try:
            self._begin()
            for found in read_detections(ended):
                self._add(found)
        finally:
            ended.unlink()

    def finish(self, inside: TilePredicate) -> Detections:
        """End the file with what is settled within the shard; return what is not settled."""
        flagged = Detections.concatenate(self._flagged)
        settled, others = self.inference.task.settle_inside(flagged, inside)
        self.out.finish(settled.ordered())
        self.out.close()
        return others

    def _pack(self) -> str:
        known = Samples.join(self.inference.samples, len(self.inference.bands))
        return base64.b64encode(zlib.compress(known.to_bytes())).decode() if len(known) else ""

    def _unpack(self, text: str) -> Samples:
        data = zlib.decompress(base64.b64decode(text))
        return Samples.from_bytes(data, len(self.inference.bands))

    def _begin(self) -> None:
        self.out = DetectionsWriter(self.path)
        self._flagged: list[Detections] = []

    def _add(self, found: Detections) -> None:
        flagged = found.flags != 0
        self.out.append(found.take(~flagged))
        self._flagged.append(found.take(flagged))


def _progress(path: Path) -> Progress:
    return msgspec.json.decode(read_note(path, _PROGRESS), type=Progress)
