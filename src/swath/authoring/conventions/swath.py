"""swath's own networks (`swath.training.networks`), exported by hand.

`rows` are boxes and scores, `logits` alone are classes a pixel with a sigmoid each, and with
`boxes` they are a DETR's. `swath train` writes whole packages, so these are for experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swath.authoring.conventions import transformers
from swath.authoring.conventions.convention import (
    Understood,
    need_classes,
    of_pixels,
    output,
    shapes_of,
)
from swath.errors import PackageError

if TYPE_CHECKING:
    from swath.authoring.exported import Exported

_BOX, _ROWS, _PIXELS = 4, 3, 4


def understand(exported: Exported, classes: Sequence[str] | None) -> Understood:
    """What an export of one of swath's networks is.

    Raises:
        PackageError: its outputs are none of theirs.
    """
    first = exported.outputs[0]
    if len(first.shape) == _PIXELS:
        return of_pixels(exported, 0, classes, activation="sigmoid")
    if len(exported.outputs) > 1:
        return transformers.understand(exported, classes)
    names = need_classes(classes, f"{exported.path} names no classes")
    if len(first.shape) != _ROWS or first.shape[1] != _BOX + len(names):
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}; swath's detector gives (batch, "
            f"{_BOX + len(names)}, candidates) for {len(names)} classes"
        )
    return Understood(
        task="object-detection",
        outputs=(output(first, ("batch", "channel", "candidate"), exported),),
        hyperparameters={"score_threshold": 0.1, "iou_threshold": 0.3, "box_format": "cxcywh"},
        classes=names,
        architecture="swath-detector",
    )
