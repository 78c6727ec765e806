"""Assess whether a network's numbers can be boxes, scores or class numbers.

An assessment holds a contradiction, if there is one, and whether the numbers alone prove the
interpretation. Few rows prove little: (15, 26, 25, 34) may be two corners, or a center and two
sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits

MIN_CONCLUSIVE_ROWS = 8
"""Minimum number of distinct rows for a pattern to count as evidence."""
MAX_ASSESSED_ROWS = 4096
"""Maximum number of rows to judge."""
_MIN_SPREAD_ROWS = 64
_TOLERANCE = 1e-3
_MAX_NORMALIZED_COORDINATE = 2.0
"""Maximum coordinate of a normalized box: boxes may exceed the tile, but hardly by more than its
size."""
_MAX_CORNER = 1.5
_MIN_PLAUSIBLE_SHARE, _MIN_CONCLUSIVE_SHARE = 0.75, 0.98


@dataclass(frozen=True, slots=True)
class Assessment:
    """Contradiction to an interpretation, if any, and whether the numbers alone prove it."""

    contradiction: str | None = None
    is_conclusive: bool = False
    is_uncertain: bool = False
    """True if the contradiction concerns most boxes, not all: boxes without an object may hold any
    numbers."""

    def __and__(self, other: Assessment) -> Assessment:
        """Combine two assessments; the result is conclusive only if both are."""
        first, second = (
            (other, self) if self.is_uncertain or not self.contradiction else (self, other)
        )
        faulty = first if first.contradiction else second
        return Assessment(
            faulty.contradiction, self.is_conclusive and other.is_conclusive, faulty.is_uncertain
        )


PLAUSIBLE, CONCLUSIVE = Assessment(), Assessment(is_conclusive=True)


def distinct_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distinct finite rows that are not all zero, of at most MAX_ASSESSED_ROWS."""
    rows = np.asarray(rows, np.float64)
    rows = rows[np.isfinite(rows).all(axis=1) & rows.any(axis=1)]
    if len(rows) > MAX_ASSESSED_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_ASSESSED_ROWS).astype(int)]
    return np.unique(rows, axis=0) if len(rows) else rows


def assess_boxes(
    box: NDArray[np.float64], box_format: BoxFormat, units: BoxUnits, size: int
) -> Assessment:
    """Assess boxes by the positions of their corners or centers.

    Args:
        box: Distinct rows (n, 4 or more); an angle is the fifth column.
        box_format: `xyxy`, `cxcywh` or `cxcywhr`.
        units: `px` or `normalized`.
        size: Side of the tile in px.
    """
    if not len(box):
        return PLAUSIBLE
    contradiction = _unit_contradiction(box, units, size)
    if contradiction is None and box_format == "xyxy":
        return _assess_corners(box, size if units == "px" else 1)
    if contradiction:
        return Assessment(contradiction)
    side = _side_contradiction(box, box_format)
    return Assessment(side, is_uncertain=side is not None)


def _unit_contradiction(box: NDArray[np.float64], units: BoxUnits, size: int) -> str | None:
    largest = float(np.abs(box[:, :4]).max())
    if units == "normalized" and largest > _MAX_NORMALIZED_COORDINATE:
        return f"boxes reach {largest:.4g}, beyond the range of normalized boxes"
    if units == "px" and largest <= _MAX_NORMALIZED_COORDINATE:
        return f"boxes reach {largest:.3g}, too little for boxes in px of a tile of {size} px"
    if units == "px" and len(box) >= _MIN_SPREAD_ROWS and np.abs(box[:, :2]).max() < size / 4:
        return f"no box lies beyond a quarter of the tile of {size} px"
    return None


def _side_contradiction(box: NDArray[np.float64], box_format: BoxFormat) -> str | None:
    share = np.mean((box[:, 2:4] >= -_TOLERANCE).all(axis=1))
    if share < _MIN_PLAUSIBLE_SHARE:
        return f"{1 - share:.0%} of the boxes have a negative side"
    if box_format == "cxcywhr" and np.abs(box[:, 4]).max() > 2 * np.pi:
        return f"an angle is {np.abs(box[:, 4]).max():.4g} radians"
    return None


def _assess_corners(box: NDArray[np.float64], scale: float) -> Assessment:
    """Assess boxes as two corners: the second corner must be right of the first and below it."""
    slack = _TOLERANCE * scale
    ordered = np.mean((box[:, 2:4] >= box[:, :2] - slack).all(axis=1))
    if ordered < _MIN_PLAUSIBLE_SHARE:
        return Assessment(
            f"{1 - ordered:.0%} of the boxes have their second corner before the first",
            is_uncertain=True,
        )
    # Sides are as large as centers everywhere only if all boxes are as large as the tile.
    spread = (box[:, :2].max(axis=0) > 0.3 * scale).all()
    within = np.mean((box[:, 2:4] <= _MAX_CORNER * scale).all(axis=1))
    is_conclusive = (
        len(box) >= MIN_CONCLUSIVE_ROWS
        and ordered >= _MIN_CONCLUSIVE_SHARE
        and spread
        and within >= _MIN_CONCLUSIVE_SHARE
    )
    return CONCLUSIVE if is_conclusive else PLAUSIBLE


def best_assessment(assessments: Sequence[Assessment]) -> Assessment:
    """Return the best of several assessments: some probes suit a network better than others."""
    return min(
        assessments,
        key=lambda assessment: (
            assessment.contradiction is not None,
            not assessment.is_uncertain,
            not assessment.is_conclusive,
        ),
    )


def assess_scores(scores: NDArray[np.float64], activation: Activation) -> Assessment:
    """Assess scores: they lie in 0 to 1, or beyond if an activation is still to be applied."""
    if not scores.size:
        return PLAUSIBLE
    if activation == "none":
        if is_probability(scores):
            return PLAUSIBLE
        return Assessment(f"scores range from {scores.min():.4g} to {scores.max():.4g}")
    if is_probability(scores):
        return Assessment("scores are already between 0 and 1")
    # Logits may be whole by chance, but then some are usually negative.
    counts = is_whole(scores) and scores.min() >= 0
    return Assessment("scores are whole numbers") if counts else PLAUSIBLE


def assess_labels(
    label: NDArray[np.float64], score: NDArray[np.float64], first: int, count: int
) -> Assessment:
    """Assess class numbers together with their scores.

    Args:
        label: Class numbers (n,).
        score: Scores (n,).
        first: Number of the first class.
        count: Number of classes.
    """
    labels = label[score > 0]
    if not len(labels):
        # Rows without any score cannot be a list of objects.
        return Assessment("no row has a score") if len(score) >= MIN_CONCLUSIVE_ROWS else PLAUSIBLE
    if len(labels) < len(score) / 2:
        return Assessment(
            f"{1 - len(labels) / len(score):.0%} of the rows have a score of exactly 0"
        )
    if not is_whole(labels):
        return Assessment("class numbers are not whole numbers")
    # If classes count from 1, 0 is a background class that some networks list too.
    lowest = 0 if first and labels.max() == count else first
    if labels.min() < lowest or labels.max() >= first + count:
        return Assessment(
            f"class numbers range from {labels.min():g} to {labels.max():g}, "
            f"not from {first} to {first + count - 1}"
        )
    between = score[(score > 0) & (score < 1)]
    return CONCLUSIVE if len(np.unique(between)) >= MIN_CONCLUSIVE_ROWS else PLAUSIBLE


def is_probability(values: NDArray[Any]) -> bool:
    """Return whether all numbers lie in 0 to 1."""
    return bool(values.size) and values.min() >= -_TOLERANCE and values.max() <= 1 + _TOLERANCE


def is_whole(values: NDArray[Any]) -> bool:
    """Return whether all numbers are whole."""
    return bool(np.all(np.equal(np.mod(values, 1), 0)))


def sums_to_one(values: NDArray[Any], axis: int) -> bool:
    """Return whether the numbers along an axis sum to 1, as after a softmax."""
    total = np.asarray(values, np.float64).sum(axis=axis)
    return bool(total.size) and bool(np.abs(total - 1).max() < 10 * _TOLERANCE)


def grid_candidate_counts(size: int) -> dict[int, Sequence[int]]:
    """Return the usual candidate counts of grid-based networks, by anchors per cell."""
    counts: dict[int, Sequence[int]] = {}
    for anchors in (1, 3):
        cells = [(size // stride) ** 2 for stride in (4, 8, 16, 32, 64)]
        counts[anchors] = [
            anchors * sum(cells[first:last])
            for first in (0, 1)
            for last in (4, 5)
            if last - first > 1
        ]
    return counts
