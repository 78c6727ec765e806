"""Interpret torchvision's detectors, Mask R-CNN, semantic segmentation and classification.

Detectors return one dictionary per image: boxes (n, 4) as two corners in px, labels from 1 (0 is
the background), scores, and masks (n, 1, rows, cols) of probabilities. Faster R-CNN returns labels
before scores; RetinaNet, FCOS and SSD return them after. Detectors take pixels from 0 to 1 and
normalize them inside. Segmentation returns the logits `out` (and `aux`) per class; classification
returns logits. https://docs.pytorch.org/vision/stable/models.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.models.scaling import Scale
from swath.packaging.conventions.class_outputs import (
    interpret_classification,
    interpret_segmentation,
)
from swath.packaging.conventions.convention import InferredOutputs, describe_shapes, require_classes
from swath.packaging.conventions.interpretations import choose_interpretation
from swath.packaging.conventions.object_lists import is_object_list, object_list_interpretations

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import ExportedNetwork

_PIXELS, _TILE = 4, 2


def infer_outputs(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    """Interpret an export of torchvision.

    Args:
        exported: Exported network.
        classes: Class names, in the order of the scores.
        hyperparameters: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match no network of torchvision, or fit several readings.
    """
    if is_object_list(exported):
        return _detector(exported, classes, hyperparameters)
    by_axes = {
        len(output.shape): index for index, output in reversed([*enumerate(exported.outputs)])
    }
    if _PIXELS in by_axes:
        return interpret_segmentation(exported, by_axes[_PIXELS], classes, hyperparameters)
    if _TILE in by_axes and len(exported.outputs) == 1:
        return interpret_classification(exported, by_axes[_TILE], classes, hyperparameters)
    raise PackageError(
        f"{exported.path} returns {describe_shapes(exported)}, unlike any network of torchvision"
    )


def _detector(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    named = require_classes(
        classes, f"{exported.path} numbers its classes from 1 and has no class names"
    )
    interpretations = object_list_interpretations(exported, named, "torchvision")
    return replace(
        choose_interpretation(
            exported.path, describe_shapes(exported), interpretations, hyperparameters
        ),
        scaling=(Scale(value=255.0),),
        assumptions=(
            "pixels are divided by 255: torchvision's detectors take 0 to 1 and normalize inside",
        ),
    )
