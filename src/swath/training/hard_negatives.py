"""Where a model is sure of an object and there is none: what it should be shown more of.

Hard negative mining (Sung and Poggio 1998, https://doi.org/10.1109/34.655648), a search at a time.
Where labels are incomplete some of what is found is real, and the model unlearns it: so it is off
unless it is asked for, and only the surest places far from any label count.
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
"""The surest ones are kept."""


def find_hard_negatives(
    observer: Observer, collection: Collection, *, least_score: float
) -> tuple[HardNegative, ...]:
    """What is seen where nothing is labelled, the surest first.

    A detection that shares any area with a label of any class, or with an area that counts neither
    way, is none.

    Raises:
        TrainingError: a scene cannot be read, or an answer holds NaN.
        TrainingInterruptedError: the observer was told to stop.
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
