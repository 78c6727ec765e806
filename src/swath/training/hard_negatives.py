"""Search training scenes for hard negatives: confident detections where there is no object.

This is hard negative mining (Sung and Poggio 1998, https://doi.org/10.1109/34.655648), one search
at a time. Where labels are incomplete, some hard negatives are real objects, and the model unlearns
them. Mining is therefore off by default, and uses only the most confident detections that overlap
no label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.pairs import build_pairs
from swath.training.data.sampler import HardNegative
from swath.training.validation import ground_truth_boxes, predicted_boxes

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.predict_scenes import ScenePredictor

MAX_HARD_NEGATIVES = 1000
"""Maximum number of hard negatives; those with the highest scores are kept."""


def mine_hard_negatives(
    predictor: ScenePredictor, collection: Collection, *, min_score: float
) -> tuple[HardNegative, ...]:
    """Return detections that overlap no label, highest score first.

    A detection is no hard negative if it overlaps a label of any class or a crowd region.

    Args:
        predictor: ScenePredictor that runs the model.
        collection: Labeled scenes to search.
        min_score: Minimum score of a hard negative.

    Raises:
        TrainingError: A tile cannot be read, or the network's output has NaN.
        TrainingInterruptedError: The predictor's `stop` returned True.
    """
    predictions = predicted_boxes([predictor.predict(scene.uri) for scene in collection.scenes])
    overlapping = build_pairs(
        ground_truth_boxes(collection), predictions, across_classes=True
    ).predictions
    is_unlabeled = np.ones(len(predictions), np.bool_)
    is_unlabeled[overlapping] = False
    confident = predictions.take(is_unlabeled & (predictions.score >= min_score)).best_first()
    return tuple(
        HardNegative(uri=collection.scenes[scene].uri, box=(box[0], box[1], box[2], box[3]))
        for scene, box in zip(
            confident.scene[:MAX_HARD_NEGATIVES].tolist(),
            confident.box[:MAX_HARD_NEGATIVES].tolist(),
            strict=True,
        )
    )
