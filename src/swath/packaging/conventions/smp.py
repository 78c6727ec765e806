"""Interpret exports of segmentation_models_pytorch: logits per class at the tile's resolution.

A model applies an activation only if it was created with one (`activation=`), which its numbers
reveal. Logits of one class need a sigmoid, those of several classes a softmax. A model with a
classification head has a second output, which is ignored.
https://github.com/qubvel-org/segmentation_models.pytorch/blob/main/segmentation_models_pytorch/base/heads.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.conventions.class_outputs import interpret_segmentation
from swath.packaging.conventions.convention import InferredOutputs, describe_shapes

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import ExportedNetwork

_PIXELS = {3, 4}


def infer_outputs(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    """Interpret an export of segmentation_models_pytorch.

    Args:
        exported: Exported network.
        classes: Class names, in the order of the scores.
        hyperparameters: Hyperparameters that the user sets.

    Raises:
        PackageError: The first output holds no classes per pixel, or fits no reading.
    """
    if len(exported.outputs[0].shape) not in _PIXELS:
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}, without classes per pixel"
        )
    return interpret_segmentation(exported, 0, classes, hyperparameters)
