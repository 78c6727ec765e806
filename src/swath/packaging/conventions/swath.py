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
from swath.packaging.conventions.class_outputs import interpret_segmentation
from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_shapes,
    require_classes,
)
from swath.packaging.conventions.interpretations import choose_interpretation
from swath.packaging.conventions.rows import DeclaredRows, row_interpretations

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import ExportedNetwork

_BOX, _ROWS, _PIXELS = 4, 3, 4
_OPTIONS = {"score_threshold": 0.1, "iou_threshold": 0.3}
_SWATH_ROWS = DeclaredRows(task="detect", head="rows", box_format="cxcywh", box_units="px")


def infer_outputs(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    """Interpret an export of one of swath's networks.

    Args:
        exported: Exported network.
        classes: Class names, in the order of the scores.
        hyperparameters: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match none of swath's networks.
    """
    first = exported.outputs[0]
    if len(first.shape) == _PIXELS:
        return interpret_segmentation(exported, 0, classes, hyperparameters, activation="sigmoid")
    if len(exported.outputs) > 1:
        return transformers.infer_outputs(exported, classes, hyperparameters)
    names = require_classes(classes, f"{exported.path} has no class names")
    if len(first.shape) != _ROWS or first.shape[1] != _BOX + len(names):
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}; swath's detector returns "
            f"(batch, {_BOX + len(names)}, candidates) for {len(names)} classes"
        )
    interpretations = row_interpretations(exported, 0, names, _SWATH_ROWS)
    inferred = choose_interpretation(
        exported.path, describe_shapes(exported), interpretations, hyperparameters
    )
    return replace(
        inferred,
        hyperparameters={**_OPTIONS, **inferred.hyperparameters},
        architecture="swath-detector",
    )
