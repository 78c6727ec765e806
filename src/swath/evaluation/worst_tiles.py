"""Select the tiles with the most errors, and prepare them for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely

from swath.evaluation.metrics.matching import Matches, match
from swath.evaluation.thumbnails import draw_window
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.scene_info import PixelWindow

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.evaluation.metrics.objects import GroundTruth, Objects, Predictions
    from swath.evaluation.run_scenes import SceneResult
    from swath.raster.tiles import Grid

_MAX_TILES = 12

MatchKind = Literal["detected", "missed", "hit", "false", "crowd"]
"""Result of matching: `detected`, `missed` or `crowd` for ground truth; `hit`, `false` or `crowd`
for a detection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnShape:
    """Outline that is drawn over a tile."""

    kind: MatchKind
    path: str
    """SVG path data, in px of the tile's window."""
    score: float | None = None
    """Score, for a detection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """Pixels of a tile, with its ground truth and detections."""

    uri: str
    window: PixelWindow
    """Window of the tile in scene px: x, y, width, height."""
    core: PixelWindow
    """Core of the tile in px, relative to the window: x, y, width, height."""
    picture: str
    """PNG of the window, in a `data:` URI."""
    false: int
    """Number of false positives that the tile owns."""
    missed: int
    """Number of missed objects that the tile owns."""
    shapes: tuple[DrawnShape, ...]

    @property
    def name(self) -> str:
        """Last part of the scene's address."""
        return self.uri.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, eq=False)
class _MatchedScene:
    """Scene with the detections above a threshold, matched with the ground truth."""

    scene: SceneResult
    predictions: Predictions
    matches: Matches

    @classmethod
    def from_result(cls, scene: SceneResult, threshold: float, iou: float) -> _MatchedScene:
        predictions = scene.predictions.take(scene.predictions.score >= threshold)
        return cls(scene, predictions, match(scene.truth, predictions, min_iou=iou))

    def errors(self) -> tuple[Ints, Ints, Ints]:
        """Return the tiles with errors, and the number of false positives and misses of each."""
        grid = self.scene.grid
        false = _owning_tiles(grid, self.predictions.take(self.matches.false))
        missed = _owning_tiles(grid, self.scene.truth.take(self.matches.missed))
        tiles = np.unique(np.concatenate([false, missed]))
        return tiles, _count_by_tile(tiles, false), _count_by_tile(tiles, missed)


def worst_tiles(
    scenes: Sequence[SceneResult], bands: Sequence[str], *, threshold: float, iou: float
) -> list[Chip]:
    """Return the tiles with the most false positives and misses, the worst first.

    The owner of an error is the tile whose core contains its center, as for a detection.

    Args:
        scenes: Ground truth and predictions of each scene.
        bands: Names of the model's bands, of which some are displayed.
        threshold: Lowest score of the detections that are counted.
        iou: Minimum IoU of a match.
    """
    scenes = [scene.on_grid() for scene in scenes]
    worst: list[tuple[int, ...]] = []
    for number, scene in enumerate(scenes):
        tiles, false, missed = _MatchedScene.from_result(scene, threshold, iou).errors()
        rows = np.stack([-false - missed, np.full_like(tiles, number), tiles, false, missed], 1)
        worst = sorted([*worst, *map(tuple, rows.tolist())])[:_MAX_TILES]
    return [
        _build_chip(
            _MatchedScene.from_result(scenes[number], threshold, iou), tile, bands, false, missed
        )
        for _, number, tile, false, missed in worst
    ]


def _owning_tiles(grid: Grid, objects: Objects) -> Ints:
    center = (objects.box[:, :2] + objects.box[:, 2:]) / 2
    return grid.owner(center[:, 0], center[:, 1])


def _count_by_tile(tiles: Ints, owners: Ints) -> Ints:
    """Return the number of errors that each tile owns.

    Args:
        tiles: (tiles,) numbers of tiles, ascending.
        owners: (errors,) number of each error's tile.
    """
    return np.bincount(np.searchsorted(tiles, owners), minlength=len(tiles))


def _build_chip(
    matched: _MatchedScene, tile: int, bands: Sequence[str], false: int, missed: int
) -> Chip:
    scene = matched.scene
    tile_bounds = scene.grid.tile(tile)
    window, (x0, y0, x1, y1) = tile_bounds.window, tile_bounds.core
    with open_model_scene(scene.uri, BandNeeds(tuple(bands)), stack=scene.stack) as opened:
        picture = draw_window(opened.scene, window, bands)
    return Chip(
        uri=scene.uri,
        window=window,
        core=(x0 - window[0], y0 - window[1], x1 - x0, y1 - y0),
        picture=picture,
        false=false,
        missed=missed,
        shapes=tuple(_shapes_in_window(matched, window)),
    )


def _shapes_in_window(matched: _MatchedScene, window: PixelWindow) -> Iterator[DrawnShape]:
    """Yield the outlines in a window, the ground truth first."""
    truth, matches = matched.scene.truth, matched.matches
    for row in _rows_in_window(truth, window):
        kind: MatchKind = (
            "crowd" if truth.crowd[row] else "missed" if matches.missed[row] else "detected"
        )
        yield DrawnShape(kind=kind, path=_svg_path(truth, row, window))
    for row in _rows_in_window(matched.predictions, window):
        kind = "crowd" if matches.ignored[row] else "false" if matches.false[row] else "hit"
        score = float(matched.predictions.score[row])
        yield DrawnShape(kind=kind, path=_svg_path(matched.predictions, row, window), score=score)


def _rows_in_window(objects: GroundTruth | Predictions, window: PixelWindow) -> list[int]:
    x, y, width, height = window
    x0, y0, x1, y1 = objects.box.T
    return np.flatnonzero((x0 < x + width) & (x1 > x) & (y0 < y + height) & (y1 > y)).tolist()  # type: ignore[no-any-return]


def _svg_path(objects: Objects, row: int, window: PixelWindow) -> str:
    """Return an outline with its holes as SVG path data, in px of the window."""
    outline = shapely.box(*objects.box[row])
    if objects.outline is not None:
        outline = objects.outline[row]
    rings = []
    for part in shapely.get_parts(outline):
        for ring in shapely.get_rings(part):
            points = shapely.get_coordinates(ring)[:-1] - window[:2]
            rings.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(rings)
