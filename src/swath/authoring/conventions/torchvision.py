"""torchvision's networks: detectors, Mask R-CNN, semantic segmentation, classification.

Detectors return a dictionary an image: boxes (n, 4) as two corners in px, labels from 1 on (0 is
the background), scores, and masks (n, 1, rows, cols) of probabilities; Faster R-CNN with labels
before scores, RetinaNet, FCOS and SSD after them. They normalise pixels from 0 to 1 by themselves.
Segmentation returns `out` (and `aux`), logits a class; classification, logits.
https://docs.pytorch.org/vision/stable/models.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swath.authoring.conventions.convention import (
    Understood,
    need_classes,
    of_pixels,
    of_tiles,
    output,
    passed_over,
    shapes_of,
)
from swath.errors import PackageError
from swath.runtimes.scaling import Scale

if TYPE_CHECKING:
    from swath.authoring.exported import Exported, Returned

_AXES = {
    "boxes": ("detection", "coordinate"),
    "labels": ("detection",),
    "scores": ("detection",),
    "masks": ("detection", "channel", "height", "width"),
}
_BOX, _PIXELS, _TILE = 2, 4, 2
_BACKGROUND = {"background", "__background__"}


def understand(exported: Exported, classes: Sequence[str] | None) -> Understood:
    """What an export of torchvision is.

    Raises:
        PackageError: its outputs are not the library's.
    """
    roles = [_role(found) for found in exported.outputs]
    if {"boxes", "labels", "scores"} <= set(roles):
        return _detector(exported, roles, classes)
    by_axes = {len(found.shape): place for place, found in reversed([*enumerate(exported.outputs)])}
    if _PIXELS in by_axes:
        return of_pixels(exported, by_axes[_PIXELS], classes)
    if _TILE in by_axes:
        return of_tiles(exported, by_axes[_TILE], classes)
    raise PackageError(
        f"{exported.path} returns {shapes_of(exported)}, which no network of torchvision does"
    )


def _role(found: Returned) -> str | None:
    """What an output of a detector is, by its axes and type."""
    match len(found.shape):
        case 1:
            return "labels" if found.is_whole else "scores"
        case 2 if found.shape[1] == 4:  # noqa: PLR2004 (two corners)
            return "boxes"
        case 4 if found.shape[1] == 1:
            return "masks"
    return None


def _detector(
    exported: Exported, roles: Sequence[str | None], classes: Sequence[str] | None
) -> Understood:
    named = need_classes(classes, f"{exported.path} numbers its classes from 1 and names none")
    if named[0].lower() in _BACKGROUND:
        named = named[1:]
    masks = "masks" in roles
    return Understood(
        task="instance-segmentation" if masks else "object-detection",
        outputs=tuple(
            output(found, _AXES[role], exported, name=role, open_axes=[0])
            if role in _AXES
            else passed_over(found)
            for found, role in zip(exported.outputs, roles, strict=True)
        ),
        hyperparameters={
            "head": "torchvision",
            "first_label": 1,
            "score_threshold": 0.5,
            "merge": {"strategy": "none"},
        },
        classes=named,
        scaling=(Scale(value=255.0),),
        assumed=(
            "pixels are divided by 255: torchvision's detectors take 0 to 1 and normalise inside",
        ),
    )
