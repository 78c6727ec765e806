"""The tiles that a model does worst on, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely

from swath.evaluation.metrics.matching import Matches, match
from swath.evaluation.thumbnails import picture_of
from swath.raster.scene import open_scene
from swath.raster.scene_info import Box

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.evaluation.metrics.objects import Found, Objects, Truth
    from swath.evaluation.run_scenes import SeenScene
    from swath.raster.tiles import Grid

_MOST = 12

Fate = Literal["found", "missed", "hit", "false", "crowd"]
"""Of what is known: `found`, `missed`, or `crowd`; of what was seen: `hit`, `false`, or `crowd`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An outline over a tile."""

    fate: Fate
    path: str
    """SVG path data, in px of the tile's window."""
    score: float | None = None
    """Of a detection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A tile's pixels and what was known and seen there."""

    uri: str
    window: Box
    core: Box
    """The pixels that the tile owns, within the window: x, y, width, height."""
    picture: str
    """A `data:` URI of a PNG."""
    false: int
    missed: int
    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        """The last part of the scene's address."""
        return self.uri.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A scene at a threshold: what became of each known object and each detection."""

    scene: SeenScene
    found: Found
    matches: Matches

    @classmethod
    def of(cls, scene: SeenScene, threshold: float, iou: float) -> _Judged:
        found = scene.found.take(scene.found.score >= threshold)
        return cls(scene, found, match(scene.truth, found, at=iou))

    def errors(self) -> tuple[Ints, Ints, Ints]:
        """The tiles with errors, how many false alarms each has, and how many misses."""
        grid = self.scene.grid
        false = _owners(grid, self.found.take(self.matches.false))
        missed = _owners(grid, self.scene.truth.take(self.matches.missed))
        tiles = np.unique(np.concatenate([false, missed]))
        return tiles, _count(tiles, false), _count(tiles, missed)


def worst_tiles(
    scenes: Sequence[SeenScene], bands: Sequence[str], *, threshold: float, iou: float
) -> list[Chip]:
    """The tiles with the most false alarms and misses, the worst first.

    An error belongs to the tile whose core holds its centre, as a detection does.

    Args:
        scenes: as the engine saw them.
        bands: the model's, to choose from for display.
        threshold: what scores less is left out.
        iou: from which overlap on a detection stands for an object.
    """
    worst: list[tuple[int, ...]] = []
    for number, scene in enumerate(scenes):
        tiles, false, missed = _Judged.of(scene, threshold, iou).errors()
        rows = np.stack([-false - missed, np.full_like(tiles, number), tiles, false, missed], 1)
        worst = sorted([*worst, *map(tuple, rows.tolist())])[:_MOST]
    return [
        _chip(_Judged.of(scenes[number], threshold, iou), tile, bands, false, missed)
        for _, number, tile, false, missed in worst
    ]


def _owners(grid: Grid, objects: Objects) -> Ints:
    centre = (objects.box[:, :2] + objects.box[:, 2:]) / 2
    return grid.owner(centre[:, 0], centre[:, 1])


def _count(tiles: Ints, owners: Ints) -> Ints:
    """How many each of the tiles owns."""
    return np.bincount(np.searchsorted(tiles, owners), minlength=len(tiles))


def _chip(judged: _Judged, tile: int, bands: Sequence[str], false: int, missed: int) -> Chip:
    scene = judged.scene
    placed = scene.grid.tile(tile)
    window, (x0, y0, x1, y1) = placed.window, placed.core
    with open_scene(scene.uri) as opened:
        picture = picture_of(opened, window, bands)
    return Chip(
        uri=scene.uri,
        window=window,
        core=(x0 - window[0], y0 - window[1], x1 - x0, y1 - y0),
        picture=picture,
        false=false,
        missed=missed,
        shapes=tuple(_shapes(judged, window)),
    )


def _shapes(judged: _Judged, window: Box) -> Iterator[Shape]:
    """What lies in a window, what is known first."""
    truth, matches = judged.scene.truth, judged.matches
    for row in _within(truth, window):
        fate: Fate = "crowd" if truth.crowd[row] else "missed" if matches.missed[row] else "found"
        yield Shape(fate=fate, path=_path(truth, row, window))
    for row in _within(judged.found, window):
        fate = "crowd" if matches.ignored[row] else "false" if matches.false[row] else "hit"
        score = float(judged.found.score[row])
        yield Shape(fate=fate, path=_path(judged.found, row, window), score=score)


def _within(objects: Truth | Found, window: Box) -> list[int]:
    x, y, width, height = window
    x0, y0, x1, y1 = objects.box.T
    return np.flatnonzero((x0 < x + width) & (x1 > x) & (y0 < y + height) & (y1 > y)).tolist()  # type: ignore[no-any-return]


def _path(objects: Objects, row: int, window: Box) -> str:
    """An outline, holes and all, as SVG path data."""
    outline = shapely.box(*objects.box[row])
    if objects.outline is not None:
        outline = objects.outline[row]
    rings = []
    for part in shapely.get_parts(outline):
        for ring in shapely.get_rings(part):
            points = shapely.get_coordinates(ring)[:-1] - window[:2]
            rings.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(rings)
