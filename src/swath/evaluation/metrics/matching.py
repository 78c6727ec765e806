"""Which detection stands for which known object, and what that makes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.pairs import Pairs, pairs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.evaluation.metrics.objects import Found, Truth

_NEARLY_ONE = 1 - 1e-10
"""So that at an IoU of 1 the rounding of an area decides nothing; as COCO has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of each detection and of each known object."""

    truth: Ints
    """(found,): the known object that a detection stands for; -1: none."""
    ignored: NDArray[np.bool_]
    """(found,): True where that is a crowd, so the detection counts neither way."""
    missed: NDArray[np.bool_]
    """(truth,): True where no detection stands for it; never of a crowd."""

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(found,): True where the detection stands for an object of its own."""
        return (self.truth >= 0) & ~self.ignored

    @property
    def false(self) -> NDArray[np.bool_]:
        """(found,): True where the detection stands for nothing."""
        return self.truth < 0

    def of_found(self, rows: NDArray[np.bool_] | Ints) -> Matches:
        """Of some of the detections; what is known stays numbered as it was."""
        return Matches(self.truth[rows], self.ignored[rows], self.missed)


def match(
    truth: Truth, found: Found, *, at: float = 0.5, pairs: Pairs | None = None, again: bool = True
) -> Matches:
    """Match greedily, the best score first, each with what it overlaps most and is still free.

    So do COCO and the SpaceNet challenge. What is matched down to some score does not depend on
    what scores less: one matching serves for every threshold.

    Args:
        truth: what is known.
        found: what was seen.
        at: the least overlap.
        pairs: of the two; by default those of one class.
        again: whether a detection whose best known object is taken may have the next. Pascal VOC
            says no: https://github.com/rafaelpadilla/Object-Detection-Metrics
    """
    pairs = pairs_of(truth, found) if pairs is None else pairs
    near = pairs.take(pairs.overlap >= min(at, _NEARLY_ONE))
    near = near.take(_by_choice(truth, found, near))
    if not again:
        near = near.take(np.unique(near.found, return_index=True)[1])
        near = near.take(_by_choice(truth, found, near))
    of = _assign(near, truth.crowd, len(found))
    ignored = np.append(truth.crowd, False)[of]
    missed = ~truth.crowd
    missed[of[of >= 0]] = False
    return Matches(of, ignored, missed)


def _by_choice(truth: Truth, found: Found, pairs: Pairs) -> Ints:
    """The order in which pairs are taken up: crowds only where there is nothing else.

    Of objects that overlap equally, COCO takes the last.
    """
    rank = np.empty(len(found), np.int64)
    rank[np.lexsort((found.scene, -found.score))] = np.arange(len(found))
    keys = (-pairs.truth, -pairs.overlap, truth.crowd[pairs.truth], rank[pairs.found])
    order: Ints = np.lexsort(keys)
    return order


def _assign(pairs: Pairs, crowd: NDArray[np.bool_], count: int) -> Ints:
    """The known object of each of `count` detections, or -1; pairs come in order of choice."""
    of, free = [-1] * count, [True] * len(crowd)
    many = crowd.tolist()
    for seen, known in zip(pairs.found.tolist(), pairs.truth.tolist(), strict=True):
        if of[seen] < 0 and free[known]:
            of[seen] = known
            free[known] = many[known]
    return np.array(of, np.int64)
