"""COCO's average precision and recall, by class and size, on scenes of any number of objects.

faster-coco-eval matches and accumulates. It holds a dense matrix of overlaps for each image and
class, and keeps a hundred detections of them at most, which suits photographs. A scene is given to
it in pieces instead: objects that overlap nothing in common have no say in each other's matching,
so what hangs together is one image, and the figures are those of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from swath.detection.boxes import spread
from swath.detection.stitching.grouping import components
from swath.evaluation.metrics.pairs import Pairs, pairs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats, Ints
    from swath.evaluation.metrics.objects import Found, Objects, Truth

Size = Literal["all", "small", "medium", "large"]

SIZES: dict[Size, tuple[float, float]] = {
    "all": (0, np.inf),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, np.inf),
}
"""px² of an object, as COCO draws the lines: both ends of a range belong to it.

COCO's end at 1e10 px², a scene of 100,000 px a side; what is larger would not count."""

IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_PIECE = 256
"""How many objects one image holds, unless more hang together."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoFigures:
    """What faster-coco-eval accumulated; -1 where no object is known."""

    precision: Floats
    """(10 IoUs, 101 recalls, classes, 4 sizes)."""
    recall: Floats
    """(10 IoUs, classes, 4 sizes)."""

    def ap(
        self, *, iou: float | None = None, label: int | None = None, size: Size = "all"
    ) -> float | None:
        """Average precision: the mean over IoUs, or at one; over classes, or of one."""
        return _mean(self.precision[_at(iou)][:, :, _of(label), _place(size)])

    def ar(
        self, *, iou: float | None = None, label: int | None = None, size: Size = "all"
    ) -> float | None:
        """Average recall: how many objects are found at all."""
        return _mean(self.recall[_at(iou)][:, _of(label), _place(size)])


def coco_figures(
    truth: Truth, found: Found, classes: int, *, limit: int | None = None
) -> CocoFigures:
    """COCO's figures.

    Args:
        truth: what is known.
        found: what was seen.
        classes: how many there are.
        limit: how many detections count of a class in a scene, the best; by default, all.
    """
    found = found.best_first()
    if limit is not None:
        found = found.take(_places(found.scene * classes + found.label) < limit)
    evaluator = _evaluator(truth, found, classes)
    evaluator.evaluate()
    evaluator.accumulate()
    # The last axis is the limit of detections: there is one, and it is never reached.
    return CocoFigures(
        np.asarray(evaluator.eval["precision"])[..., 0],
        np.asarray(evaluator.eval["recall"])[..., 0],
    )


def _evaluator(truth: Truth, found: Found, classes: int) -> Any:
    # Imported here: nothing else needs it.
    from faster_coco_eval import (  # type: ignore[import-untyped]  # noqa: PLC0415
        COCO,
        COCOeval_faster,
    )

    pairs = pairs_of(truth, found)
    piece = _pieces(len(truth), len(found), pairs)
    of_truth, of_found = piece[: len(truth)], piece[len(truth) :]
    known, seen = (
        COCO(
            {
                "images": [{"id": i + 1} for i in range(int(piece.max(initial=-1)) + 1)],
                "categories": [{"id": i + 1, "name": str(i)} for i in range(classes)],
                "annotations": list(annotations),
            }
        )
        for annotations in (
            _annotations(truth, of_truth, truth.size, iscrowd=truth.crowd),
            # Ranks are scores without ties: the pieces' order has no say.
            _annotations(found, of_found, None, score=np.arange(len(found), 0, -1)),
        )
    )
    evaluator: Any = COCOeval_faster(known, seen, "bbox", print_function=lambda *_: None)
    evaluator.params.iouThrs, evaluator.params.recThrs = IOUS, _RECALLS
    evaluator.params.maxDets = [max(len(found), 1)]
    evaluator.params.areaRng = [list(limits) for limits in SIZES.values()]
    evaluator.params.areaRngLbl = list(SIZES)
    evaluator.computeIoU = _Overlaps(truth, found, pairs, of_truth, of_found).of
    return evaluator


def _annotations(
    objects: Objects, piece: Ints, size: Floats | None, **more: NDArray[Any]
) -> Iterator[dict[str, Any]]:
    """Yield objects as COCO has them; their areas are those stated, or their own."""
    low, sides = objects.box[:, :2], objects.box[:, 2:] - objects.box[:, :2]
    columns = {
        "image_id": (piece + 1).tolist(),
        "category_id": (objects.label + 1).tolist(),
        "bbox": np.concatenate([low, sides], axis=1).tolist(),
        "area": (objects.area if size is None else size).tolist(),
        **{name: values.astype(int).tolist() for name, values in more.items()},
    }
    for number, row in enumerate(zip(*columns.values(), strict=True), 1):
        yield {"id": number, "iscrowd": 0, **dict(zip(columns, row, strict=True))}


class _Overlaps:
    """The matrices of overlaps that faster-coco-eval asks for, made from pairs.

    Its own would be of boxes, or of polygons drawn in pixels.
    """

    def __init__(
        self, truth: Truth, found: Found, pairs: Pairs, of_truth: Ints, of_found: Ints
    ) -> None:
        classes = int(max(truth.label.max(initial=0), found.label.max(initial=0))) + 1
        groups = [of * classes + o.label for of, o in ((of_found, found), (of_truth, truth))]
        group = groups[0][pairs.found]
        order = np.argsort(group, kind="stable")
        self._classes, self._group = classes, group[order]
        # Both are asked for in the order in which they were given: detections best first.
        row, column = (_places(of) for of in groups)
        self._row, self._column = row[pairs.found][order], column[pairs.truth][order]
        self._overlap = pairs.overlap[order]
        self._sizes = [Counter(of.tolist()) for of in groups]

    def of(self, image: int, category: int) -> Floats:
        """(detections, known objects) of an image and class, both counted from 1."""
        group = (image - 1) * self._classes + category - 1
        matrix = np.zeros([size[group] for size in self._sizes])
        pairs = slice(*np.searchsorted(self._group, [group, group + 1]))
        matrix[self._row[pairs], self._column[pairs]] = self._overlap[pairs]
        return matrix


def _pieces(truths: int, founds: int, pairs: Pairs) -> Ints:
    """For each known object and then each detection, the image that it is given in."""
    whole = components(truths + founds, pairs.truth, pairs.found + truths)
    _, group, size = np.unique(whole, return_inverse=True, return_counts=True)
    # Groups fill images in turn; one that is larger than an image has its own.
    ends = np.cumsum(size)
    return np.asarray(((ends - size) // _PIECE)[group], np.int64)


def _places(group: Ints) -> Ints:
    """For each row, how many of its group come before it."""
    order = np.argsort(group, kind="stable")
    counts = np.unique(group, return_counts=True)[1]
    place = np.empty(len(group), np.int64)
    place[order] = spread(counts)[1]
    return place


def _at(iou: float | None) -> slice:
    if iou is None:
        return slice(None)
    place = int(np.flatnonzero(np.isclose(IOUS, iou))[0])
    return slice(place, place + 1)


def _of(label: int | None) -> slice:
    return slice(None) if label is None else slice(label, label + 1)


def _place(size: Size) -> int:
    return list(SIZES).index(size)


def _mean(values: Floats) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
