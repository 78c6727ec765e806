"""Compute COCO's average precision and recall, by class and size, for scenes of any size.

faster-coco-eval does the matching and the accumulation. It holds a dense matrix of overlaps for
each image and class, and by default keeps at most 100 detections of each. That suits photographs,
but not scenes. So a scene is split into connected components of overlapping objects, and each
"image" of faster-coco-eval holds whole components. Objects of different components do not affect
each other's matching, so the metrics are those of the whole scene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from swath.detection.boxes import expand_counts
from swath.detection.stitching.grouping import connected_components
from swath.evaluation.metrics.pairs import Pairs, build_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats, Ints
    from swath.evaluation.metrics.objects import GroundTruth, Objects, Predictions

Size = Literal["all", "small", "medium", "large"]

SIZES: dict[Size, tuple[float, float]] = {
    "all": (0, np.inf),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, np.inf),
}
"""Area range in px² of COCO's object sizes, limits included.

COCO itself ends the ranges `all` and `large` at 1e10 px², which is a square of 100,000 px. Larger
objects would not count, so these ranges have no upper limit here."""

IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_OBJECTS_PER_IMAGE = 256
"""Number of objects per "image" of faster-coco-eval, unless a connected component has more."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoMetrics:
    """Precision and recall that faster-coco-eval accumulated; -1 without ground truth."""

    precision: Floats
    """(10 IoUs, 101 recalls, classes, 4 sizes): interpolated precision."""
    recall: Floats
    """(10 IoUs, classes, 4 sizes): recall over all detections."""

    def ap(
        self, *, iou: float | None = None, label: int | None = None, size: Size = "all"
    ) -> float | None:
        """Return the average precision, or None without ground truth.

        Args:
            iou: IoU threshold; by default, the mean over 0.5 to 0.95.
            label: Class; by default, the mean over all classes.
            size: Size of the objects.
        """
        return _mean(self.precision[_iou_slice(iou)][:, :, _label_slice(label), _size_index(size)])

    def ar(
        self, *, iou: float | None = None, label: int | None = None, size: Size = "all"
    ) -> float | None:
        """Return the average recall over all detections, or None without ground truth.

        Args:
            iou: IoU threshold; by default, the mean over 0.5 to 0.95.
            label: Class; by default, the mean over all classes.
            size: Size of the objects.
        """
        return _mean(self.recall[_iou_slice(iou)][:, _label_slice(label), _size_index(size)])


def coco_metrics(
    truth: GroundTruth,
    predictions: Predictions,
    classes: int,
    *,
    max_predictions: int | None = None,
) -> CocoMetrics:
    """Return COCO's precision and recall.

    Args:
        truth: Ground truth.
        predictions: Detections.
        classes: Number of classes.
        max_predictions: Maximum number of detections per class and scene, the highest scores
            first; by default, no limit.
    """
    predictions = predictions.best_first()
    if max_predictions is not None:
        predictions = predictions.take(
            _indices_in_group(predictions.scene * classes + predictions.label) < max_predictions
        )
    evaluator = _evaluator(truth, predictions, classes)
    evaluator.evaluate()
    evaluator.accumulate()
    # The last axis is the limit of detections. There is one limit, which is never reached.
    return CocoMetrics(
        np.asarray(evaluator.eval["precision"])[..., 0],
        np.asarray(evaluator.eval["recall"])[..., 0],
    )


def _evaluator(truth: GroundTruth, predictions: Predictions, classes: int) -> Any:
    # Imported here, since no other function needs it.
    from faster_coco_eval import (  # type: ignore[import-untyped]  # noqa: PLC0415
        COCO,
        COCOeval_faster,
    )

    pairs = build_pairs(truth, predictions)
    image = _assign_images(len(truth), len(predictions), pairs)
    truth_image, prediction_image = image[: len(truth)], image[len(truth) :]
    truth_coco, prediction_coco = (
        COCO(
            {
                "images": [{"id": i + 1} for i in range(int(image.max(initial=-1)) + 1)],
                "categories": [{"id": i + 1, "name": str(i)} for i in range(classes)],
                "annotations": list(annotations),
            }
        )
        for annotations in (
            _annotations(truth, truth_image, truth.coco_area, iscrowd=truth.crowd),
            # Ranks replace the scores, so there are no ties and the order of images has no effect.
            _annotations(
                predictions, prediction_image, None, score=np.arange(len(predictions), 0, -1)
            ),
        )
    )
    evaluator: Any = COCOeval_faster(
        truth_coco, prediction_coco, "bbox", print_function=lambda *_: None
    )
    evaluator.params.iouThrs, evaluator.params.recThrs = IOUS, _RECALLS
    evaluator.params.maxDets = [max(len(predictions), 1)]
    evaluator.params.areaRng = [list(limits) for limits in SIZES.values()]
    evaluator.params.areaRngLbl = list(SIZES)
    evaluator.computeIoU = _Overlaps(
        truth, predictions, pairs, truth_image, prediction_image
    ).compute
    return evaluator


def _annotations(
    objects: Objects, image: Ints, size: Floats | None, **more: NDArray[Any]
) -> Iterator[dict[str, Any]]:
    """Yield objects as COCO annotations.

    Args:
        objects: Objects to convert.
        image: (n,) image of each object, from 0.
        size: (n,) stated areas in px²; None for the areas of the objects.
        more: Further columns (n,) by name.
    """
    low, sides = objects.box[:, :2], objects.box[:, 2:] - objects.box[:, :2]
    columns = {
        "image_id": (image + 1).tolist(),
        "category_id": (objects.label + 1).tolist(),
        "bbox": np.concatenate([low, sides], axis=1).tolist(),
        "area": (objects.area if size is None else size).tolist(),
        **{name: values.astype(int).tolist() for name, values in more.items()},
    }
    for number, row in enumerate(zip(*columns.values(), strict=True), 1):
        yield {"id": number, "iscrowd": 0, **dict(zip(columns, row, strict=True))}


class _Overlaps:
    """Overlap matrices for faster-coco-eval, computed from pairs.

    Its own matrices would compare boxes, or polygons rasterized to pixels.
    """

    def __init__(
        self,
        truth: GroundTruth,
        predictions: Predictions,
        pairs: Pairs,
        truth_image: Ints,
        prediction_image: Ints,
    ) -> None:
        classes = int(max(truth.label.max(initial=0), predictions.label.max(initial=0))) + 1
        groups = [
            of * classes + o.label
            for of, o in ((prediction_image, predictions), (truth_image, truth))
        ]
        group = groups[0][pairs.predictions]
        order = np.argsort(group, kind="stable")
        self._classes, self._group = classes, group[order]
        # faster-coco-eval expects both in the order of its input: detections by descending score.
        row, column = (_indices_in_group(of) for of in groups)
        self._row, self._column = row[pairs.predictions][order], column[pairs.truth][order]
        self._overlap = pairs.overlap[order]
        self._sizes = [Counter(of.tolist()) for of in groups]

    def compute(self, image: int, category: int) -> Floats:
        """Return the overlaps (detections, ground truth) of an image and a class.

        Args:
            image: Number of the image, from 1.
            category: Number of the class, from 1.
        """
        group = (image - 1) * self._classes + category - 1
        matrix = np.zeros([size[group] for size in self._sizes])
        pairs = slice(*np.searchsorted(self._group, [group, group + 1]))
        matrix[self._row[pairs], self._column[pairs]] = self._overlap[pairs]
        return matrix


def _assign_images(objects: int, predictions: int, pairs: Pairs) -> Ints:
    """Return the image of each ground-truth object, followed by the image of each detection."""
    whole = connected_components(objects + predictions, pairs.truth, pairs.predictions + objects)
    _, group, size = np.unique(whole, return_inverse=True, return_counts=True)
    # Components fill the images in order. One that is larger than an image gets its own.
    ends = np.cumsum(size)
    return np.asarray(((ends - size) // _OBJECTS_PER_IMAGE)[group], np.int64)


def _indices_in_group(group: Ints) -> Ints:
    """Return the index of each row within its group."""
    order = np.argsort(group, kind="stable")
    counts = np.unique(group, return_counts=True)[1]
    index = np.empty(len(group), np.int64)
    index[order] = expand_counts(counts)[1]
    return index


def _iou_slice(iou: float | None) -> slice:
    if iou is None:
        return slice(None)
    index = int(np.flatnonzero(np.isclose(IOUS, iou))[0])
    return slice(index, index + 1)


def _label_slice(label: int | None) -> slice:
    return slice(None) if label is None else slice(label, label + 1)


def _size_index(size: Size) -> int:
    return list(SIZES).index(size)


def _mean(values: Floats) -> float | None:
    truth_coco = values[values > -1]
    return float(truth_coco.mean()) if truth_coco.size else None
