"""Search training scenes for hard negatives: confident detections where there is no object.

This is hard negative mining (Sung and Poggio 1998, https://doi.org/10.1109/34.655648), one search
at a time. Where labels are incomplete, some hard negatives are real objects, and the model unlearns
them. Mining is therefore off by default, and uses only the most confident detections that overlap
no label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.pairs import pairs_of
from swath.training.data.sampler import HardNegative
from swath.training.validation import found_of, truth_of

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.predict_scenes import Observer

MOST = 1000
"""Maximum number of hard negatives; those with the highest scores are kept."""


def find_hard_negatives(
    observer: Observer, collection: Collection, *, least_score: float
) -> tuple[HardNegative, ...]:
    """Return detections that overlap no label, highest score first.

    A detection is no hard negative if it overlaps a label of any class or a crowd region.

    Args:
        observer: Observer that runs the model.
        collection: Labeled scenes to search.
        least_score: Minimum score of a hard negative.

    Raises:
        TrainingError: A tile cannot be read, or the network's output has NaN.
        TrainingInterruptedError: The observer's `stop` returned True.
    """
    found = found_of([observer.detections(scene.uri) for scene in collection.scenes])
    labelled = pairs_of(truth_of(collection), found, across_classes=True).found
    alone = np.ones(len(found), np.bool_)
    alone[labelled] = False
    sure = found.take(alone & (found.score >= least_score)).best_first()
    return tuple(
        HardNegative(uri=collection.scenes[scene].uri, box=(box[0], box[1], box[2], box[3]))
        for scene, box in zip(sure.scene[:MOST].tolist(), sure.box[:MOST].tolist(), strict=True)
    )
