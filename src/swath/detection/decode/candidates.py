"""Store the candidates of one tile, before NMS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath.detection.decode.box_formats import corners_to_polygons, to_corners, to_xyxy
from swath.detection.decode.outputs import check_scores
from swath.errors import ModelOutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Boxes, Floats, Ints
    from swath.models.output_spec import OutputSpec

from swath._types import Polygons


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Candidate objects with area, in px of the tile, in the model's order."""

    box: Boxes
    """float64 (n, 4) boxes x0, y0, x1, y1; the envelopes of the outlines if there are any."""
    score: NDArray[np.float32]
    """(n,) scores, 0 to 1."""
    label: NDArray[np.int16]
    """(n,) indices into the package's classes."""
    row: Ints
    """(n,) rows of the candidates in the model's outputs."""
    outline: Polygons | None = None
    """(n,) shapely Polygons; None for boxes alone."""

    def take(self, rows: Ints) -> Candidates:
        """Return the given rows."""
        return Candidates(
            self.box[rows],
            self.score[rows],
            self.label[rows],
            self.row[rows],
            None if self.outline is None else self.outline[rows],
        )

    def with_outlines(self, outline: Polygons) -> Candidates:
        """Return the candidates with outlines (n,), whose envelopes become the boxes."""
        box = shapely.bounds(outline).reshape(-1, 4)
        return Candidates(box, self.score, self.label, self.row, outline)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Candidates of a model whose score reaches the threshold, (n,) each."""

    row: Ints
    """Rows of the candidates in the model's outputs."""
    score: NDArray[Any]
    """Scores, 0 to 1."""
    label: Ints
    """Indices into the package's classes."""


def to_candidates(
    numbers: NDArray[Any], scored: ScoredRows, output_spec: OutputSpec, size: int
) -> Candidates:
    """Return candidates with the boxes of a model's outputs; boxes without area are dropped.

    Args:
        numbers: (n, columns) in the package's box format and units, a row for each candidate.
        scored: Rows, scores and labels of the candidates.
        output_spec: Description of the outputs in the package.
        size: Tile size in px.

    Raises:
        ModelOutputError: A box has an infinite side, or a score is above 1.
    """
    numbers = numbers.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ModelOutputError("the model returned a box with an infinite side")
    if output_spec.box_units == "normalized":
        numbers[:, : 4 if output_spec.box_format == "cxcywhr" else None] *= size
    box, outline, has_area = _to_boxes_and_outlines(numbers, output_spec)
    score, label = scored.score.astype(np.float32), scored.label.astype(np.int16)
    check_scores(score)
    candidates = Candidates(box, score, label, scored.row, outline)
    return candidates if has_area.all() else candidates.take(np.flatnonzero(has_area))


def _to_boxes_and_outlines(
    numbers: Floats, output_spec: OutputSpec
) -> tuple[Boxes, Polygons | None, NDArray[np.bool_]]:
    """Return boxes, outlines (None unless the boxes are oriented), and which boxes have area."""
    if output_spec.task == "oriented-detection":
        outline = corners_to_polygons(to_corners(numbers, output_spec.box_format))
        return shapely.bounds(outline).reshape(-1, 4), outline, shapely.area(outline) > 0
    box = to_xyxy(numbers, output_spec.box_format)
    return box, None, np.all(box[:, 2:] > box[:, :2], axis=1)
