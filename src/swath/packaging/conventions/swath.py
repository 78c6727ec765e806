"""Interpret manual exports of swath's own networks (`swath.training.networks`).

`rows` hold boxes and scores. `logits` alone are class logits per pixel, each with a sigmoid;
together with `boxes` they belong to a DETR. `swath train` writes complete packages, so this
convention serves experiments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.conventions import transformers
from swath.packaging.conventions.classes import of_pixels
from swath.packaging.conventions.convention import (
    Understood,
    need_classes,
    shapes_of,
)
from swath.packaging.conventions.readings import choose
from swath.packaging.conventions.rows import Declared, row_readings

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported

_BOX, _ROWS, _PIXELS = 4, 3, 4
_OPTIONS = {"score_threshold": 0.1, "iou_threshold": 0.3}
_ROWS_OF_SWATH = Declared(task="detect", head="rows", box_format="cxcywh", box_units="px")


def understand(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Interpret an export of one of swath's networks.

    Args:
        exported: Exported network.
        classes: Class names, in the order of the scores.
        given: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match none of swath's networks.
    """
    first = exported.outputs[0]
    if len(first.shape) == _PIXELS:
        return of_pixels(exported, 0, classes, given, activation="sigmoid")
    if len(exported.outputs) > 1:
        return transformers.understand(exported, classes, given)
    names = need_classes(classes, f"{exported.path} names no classes")
    if len(first.shape) != _ROWS or first.shape[1] != _BOX + len(names):
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}; swath's detector gives (batch, "
            f"{_BOX + len(names)}, candidates) for {len(names)} classes"
        )
    readings = row_readings(exported, 0, names, _ROWS_OF_SWATH)
    found = choose(exported.path, shapes_of(exported), readings, given)
    return replace(
        found,
        hyperparameters={**_OPTIONS, **found.hyperparameters},
        architecture="swath-detector",
    )
