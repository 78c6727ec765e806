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
from swath.packaging.conventions.classes import of_pixels, of_tiles
from swath.packaging.conventions.convention import Understood, need_classes, shapes_of
from swath.packaging.conventions.listed import is_listed, listed_readings
from swath.packaging.conventions.readings import choose

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported

_PIXELS, _TILE = 4, 2


def understand(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Interpret an export of torchvision.

    Args:
        exported: Exported network.
        classes: Class names, in the order of the scores.
        given: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match no network of torchvision, or fit several readings.
    """
    if is_listed(exported):
        return _detector(exported, classes, given)
    by_axes = {len(found.shape): place for place, found in reversed([*enumerate(exported.outputs)])}
    if _PIXELS in by_axes:
        return of_pixels(exported, by_axes[_PIXELS], classes, given)
    if _TILE in by_axes and len(exported.outputs) == 1:
        return of_tiles(exported, by_axes[_TILE], classes, given)
    raise PackageError(
        f"{exported.path} returns {shapes_of(exported)}, which no network of torchvision does"
    )


def _detector(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    named = need_classes(classes, f"{exported.path} numbers its classes from 1 and names none")
    readings = listed_readings(exported, named, "torchvision")
    return replace(
        choose(exported.path, shapes_of(exported), readings, given),
        scaling=(Scale(value=255.0),),
        assumed=(
            "pixels are divided by 255: torchvision's detectors take 0 to 1 and normalise inside",
        ),
    )
