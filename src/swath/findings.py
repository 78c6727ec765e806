"""What a shard has found so far, and how far it came: kept when its host is reclaimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from swath import storage
from swath.detections import Detections, DetectionsWriter, read_detections, read_note
from swath.inference import Inference
from swath.payloads import Payload, TileCounts, TileFailure
from swath.tasks import Inside

_PROGRESS = "swath:progress"


class Progress(Payload, frozen=True, kw_only=True):
    """How far a shard came before its host was reclaimed; kept in the file of what it found."""

    layout: str
    """`Plan.layout`: progress in another plan's shard is none in this one's."""
    next_tile: int
    tiles: TileCounts
    failures: list[TileFailure]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the tiles of a shard see: in its file what is settled, in memory what is not yet."""

    inference: Inference
    out: DetectionsWriter
    flagged: list[Detections] = field(default_factory=list)

    def take_up(self, partial: str) -> None:
        """Take over what an interrupted attempt found, and how far it came."""
        with storage.reading(partial) as path:
            progress = _progress(path)
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

    def keep(self, layout: str) -> None:
        """End the file so that another attempt at the shard of that plan can take it up."""
        self.out.append(Detections.concatenate(self.flagged))
        progress = Progress(
            layout=layout,
            next_tile=self.inference.next_tile,
            tiles=self.inference.tiles,
            failures=self.inference.failures,
        )
        self.out.note(_PROGRESS, msgspec.json.encode(progress).decode())

    def settle(self, inside: Inside) -> Detections:
        """End the file with what is settled within the shard; returns what is not."""
        flagged = Detections.concatenate(self.flagged)
        settled, others = self.inference.task.settle_inside(flagged, inside)
        self.out.finish(settled.ordered())
        return others

    def _add(self, found: Detections) -> None:
        flagged = found.flags != 0
        self.out.append(found.take(~flagged))
        self.flagged.append(found.take(flagged))


def layout_of_partial(uri: str) -> str | None:
    """The layout of the plan of which an interrupted attempt left this file, if there is one."""
    try:
        with storage.reading(uri) as path:
            return _progress(path).layout
    except (FileNotFoundError, msgspec.ValidationError):
        return None


def _progress(path: Path) -> Progress:
    return msgspec.json.decode(read_note(path, _PROGRESS), type=Progress)
