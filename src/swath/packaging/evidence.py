"""Judge whether a network's numbers can be boxes, scores or class numbers.

A judgement holds a contradiction, if there is one, and whether the numbers alone prove the reading.
Few rows prove little: (15, 26, 25, 34) may be two corners, or a center and two sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits

ENOUGH = 8
"""Minimum number of distinct rows for a pattern to count as evidence."""
MOST_ROWS = 4096
"""Maximum number of rows to judge."""
_MANY = 64
_SLACK = 1e-3
_MOST_SHARE = 2.0
"""Maximum coordinate of a normalized box: boxes may exceed the tile, but hardly by more than its
size."""
_MOST_BEYOND = 1.5
_USUALLY, _ALWAYS = 0.75, 0.98


@dataclass(frozen=True, slots=True)
class Judgement:
    """Contradiction to a reading, if any, and whether the numbers alone prove the reading."""

    fault: str | None = None
    strong: bool = False
    doubtful: bool = False
    """True if the fault concerns most boxes, not all: boxes without an object may hold any
    numbers."""

    def __and__(self, other: Judgement) -> Judgement:
        """Combine two judgements: report a certain fault first; strong only if both are strong."""
        first, second = (other, self) if self.doubtful or not self.fault else (self, other)
        faulty = first if first.fault else second
        return Judgement(faulty.fault, self.strong and other.strong, faulty.doubtful)


FINE, SURE = Judgement(), Judgement(strong=True)


def distinct(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distinct finite rows that are not all zero, from a sample of at most MOST_ROWS."""
    rows = np.asarray(rows, np.float64)
    rows = rows[np.isfinite(rows).all(axis=1) & rows.any(axis=1)]
    if len(rows) > MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int)]
    return np.unique(rows, axis=0) if len(rows) else rows


def judge_boxes(
    box: NDArray[np.float64], box_format: BoxFormat, units: BoxUnits, size: int
) -> Judgement:
    """Judge boxes by the positions of their corners or centers.

    Args:
        box: Distinct rows (n, 4 or more); an angle is the fifth column.
        box_format: `xyxy`, `cxcywh` or `cxcywhr`.
        units: `px` or `normalised`.
        size: Side of the tile in px.
    """
    if not len(box):
        return FINE
    fault = _fault_of_units(box, units, size)
    if fault is None and box_format == "xyxy":
        return _corners(box, size if units == "px" else 1)
    if fault:
        return Judgement(fault)
    sides = _fault_of_sides(box, box_format)
    return Judgement(sides, doubtful=sides is not None)


def _fault_of_units(box: NDArray[np.float64], units: BoxUnits, size: int) -> str | None:
    largest = float(np.abs(box[:, :4]).max())
    if units == "normalised" and largest > _MOST_SHARE:
        return f"boxes reach {largest:.4g}, more than shares of a tile do"
    if units == "px" and largest <= _MOST_SHARE:
        return f"boxes reach {largest:.3g}, less than px of a tile of {size} px do"
    if units == "px" and len(box) >= _MANY and np.abs(box[:, :2]).max() < size / 4:
        return f"no box lies beyond a quarter of the tile of {size} px"
    return None


def _fault_of_sides(box: NDArray[np.float64], box_format: BoxFormat) -> str | None:
    sided = np.mean((box[:, 2:4] >= -_SLACK).all(axis=1))
    if sided < _USUALLY:
        return f"{1 - sided:.0%} of the boxes have a negative side"
    if box_format == "cxcywhr" and np.abs(box[:, 4]).max() > 2 * np.pi:
        return f"an angle is {np.abs(box[:, 4]).max():.4g} radians"
    return None


def _corners(box: NDArray[np.float64], scale: float) -> Judgement:
    """Judge boxes as two corners: the second corner must be right of the first and below it."""
    slack = _SLACK * scale
    ordered = np.mean((box[:, 2:4] >= box[:, :2] - slack).all(axis=1))
    if ordered < _USUALLY:
        return Judgement(f"{1 - ordered:.0%} of the boxes end before they begin", doubtful=True)
    # Sides are as large as centers everywhere only if all boxes are as large as the tile.
    spread = (box[:, :2].max(axis=0) > 0.3 * scale).all()
    within = np.mean((box[:, 2:4] <= _MOST_BEYOND * scale).all(axis=1))
    strong = len(box) >= ENOUGH and ordered >= _ALWAYS and spread and within >= _ALWAYS
    return SURE if strong else FINE


def best(judgements: Sequence[Judgement]) -> Judgement:
    """Return the best of several judgements: some probes suit a network better than others."""
    return min(
        judgements, key=lambda one: (one.fault is not None, not one.doubtful, not one.strong)
    )


def judge_scores(scores: NDArray[np.float64], activation: Activation) -> Judgement:
    """Judge scores: they lie in 0 to 1, or beyond if an activation is still to be applied."""
    if not scores.size:
        return FINE
    if activation == "none":
        if is_probability(scores):
            return FINE
        return Judgement(f"scores go from {scores.min():.4g} to {scores.max():.4g}")
    if is_probability(scores):
        return Judgement("scores lie in 0 to 1 already")
    # Logits may be whole by chance, but then some are usually negative.
    counts = is_whole(scores) and scores.min() >= 0
    return Judgement("scores are whole numbers") if counts else FINE


def judge_labels(
    label: NDArray[np.float64], score: NDArray[np.float64], first: int, count: int
) -> Judgement:
    """Judge class numbers together with their scores.

    Args:
        label: Class numbers (n,).
        score: Scores (n,).
        first: Number of the first class.
        count: Number of classes.
    """
    labels = label[score > 0]
    if not len(labels):
        # Rows without any score cannot be a list of objects.
        return Judgement("no row has a score") if len(score) >= ENOUGH else FINE
    if len(labels) < len(score) / 2:
        return Judgement(f"{1 - len(labels) / len(score):.0%} of the rows score 0 exactly")
    if not is_whole(labels):
        return Judgement("numbers of classes are no whole numbers")
    # If classes count from 1, 0 is a background class that some networks list too.
    least = 0 if first and labels.max() == count else first
    if labels.min() < least or labels.max() >= first + count:
        return Judgement(
            f"classes go from {labels.min():g} to {labels.max():g}, "
            f"not from {first} to {first + count - 1}"
        )
    between = score[(score > 0) & (score < 1)]
    return SURE if len(np.unique(between)) >= ENOUGH else FINE


def is_probability(values: NDArray[Any]) -> bool:
    """Return whether all numbers lie in 0 to 1."""
    return bool(values.size) and values.min() >= -_SLACK and values.max() <= 1 + _SLACK


def is_whole(values: NDArray[Any]) -> bool:
    """Return whether all numbers are whole."""
    return bool(np.all(np.equal(np.mod(values, 1), 0)))


def sums_to_one(values: NDArray[Any], axis: int) -> bool:
    """Return whether the numbers along an axis sum to 1, as after a softmax."""
    total = np.asarray(values, np.float64).sum(axis=axis)
    return bool(total.size) and bool(np.abs(total - 1).max() < 10 * _SLACK)


def grid_counts(size: int) -> dict[int, Sequence[int]]:
    """Return the usual candidate counts of grid-based networks, by anchors per cell."""
    found: dict[int, Sequence[int]] = {}
    for anchors in (1, 3):
        cells = [(size // stride) ** 2 for stride in (4, 8, 16, 32, 64)]
        found[anchors] = [
            anchors * sum(cells[first:last])
            for first in (0, 1)
            for last in (4, 5)
            if last - first > 1
        ]
    return found
