"""segmentation_models_pytorch: logits a class and pixel, at the tile's resolution.

A model has no activation unless it was given one (`activation=`), which its numbers show; logits of
one class go with the sigmoid, those of several with the softmax. A model with a classification head
has a second output, which is passed over.
https://github.com/qubvel-org/segmentation_models.pytorch/blob/main/segmentation_models_pytorch/base/heads.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.conventions.classes import of_pixels
from swath.packaging.conventions.convention import Understood, shapes_of

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported

_PIXELS = {3, 4}


def understand(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Say what an export of segmentation_models_pytorch is.

    Raises:
        PackageError: its first output is no class a pixel.
    """
    if len(exported.outputs[0].shape) not in _PIXELS:
        raise PackageError(f"{exported.path} returns {shapes_of(exported)}; no classes a pixel")
    return of_pixels(exported, 0, classes, given)
