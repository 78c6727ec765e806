"""Define the interface of networks that can be trained, and the ground truth of their batches."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.packaging.write_mlm import PackageOutput


class HeadSpec(TypedDict):
    """Description of a network's exported outputs for their decoding: fields of `PackageSpec`."""

    architecture: str
    """Name of the architecture."""
    task: str
    """Task of the network, as in its package."""
    outputs: tuple[PackageOutput, ...]
    """Names, shapes and axes of the outputs."""
    hyperparameters: dict[str, Any]
    """Hyperparameters of the decoding, such as the score threshold."""


class LabeledCrop(Protocol):
    """A crop of a labeled scene, with the properties that networks use."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels, (size, size); True where there is a scene."""

    @property
    def boxes(self) -> NDArray[Any]:
        """Boxes of the labels, (n, 4): x_min, y_min, x_max, y_max in px of the crop."""

    @property
    def classes(self) -> NDArray[Any]:
        """Class index of each label, (n,)."""

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """Mask of the labels, (n,); True for a crowd region, which is ignored."""

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """Class index of each pixel or NO_CLASS, (size, size); None without a class map."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Ground truth of a batch of crops."""

    boxes: tuple[Tensor, ...]
    """Boxes of each crop, float32 (n, 4): x_min, y_min, x_max, y_max in px of the crop."""
    classes: tuple[Tensor, ...]
    """Class indices of each crop's boxes, int64 (n,)."""
    crowd: tuple[Tensor, ...]
    """Mask of each crop's boxes, bool (n,); True for a crowd region, which is ignored."""
    valid: Tensor
    """Mask of the valid pixels, bool (batch, size, size).

    Pixels without a scene are False, and swath's own networks ignore them.
    """
    labels: Tensor | None = None
    """Class index of each pixel or NO_CLASS, int64 (batch, size, size); None without class maps."""

    @classmethod
    def collate(cls, crops: Sequence[LabeledCrop]) -> Targets:
        """Create the ground truth of a batch from crops, in their order."""
        maps = [crop.labels for crop in crops if crop.labels is not None]
        return cls(
            boxes=tuple(_tensor(crop.boxes, np.float32).reshape(-1, 4) for crop in crops),
            classes=tuple(_tensor(crop.classes, np.int64) for crop in crops),
            crowd=tuple(_tensor(crop.crowd, np.bool_) for crop in crops),
            valid=_tensor(np.stack([crop.valid for crop in crops]), np.bool_),
            labels=_tensor(np.stack(maps), np.int64) if len(maps) == len(crops) else None,
        )

    def subset(self, crops: slice) -> Targets:
        """Return the ground truth of some of the crops."""
        return Targets(
            boxes=self.boxes[crops],
            classes=self.classes[crops],
            crowd=self.crowd[crops],
            valid=self.valid[crops],
            labels=None if self.labels is None else self.labels[crops],
        )

    def to(self, device: torch.device | str) -> Targets:
        """Return the ground truth on a device."""
        return Targets(
            boxes=tuple(boxes.to(device) for boxes in self.boxes),
            classes=tuple(classes.to(device) for classes in self.classes),
            crowd=tuple(crowd.to(device) for crowd in self.crowd),
            valid=self.valid.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


class Network(nn.Module):
    """A network of one architecture, for a fixed number of bands and classes."""

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Return the named parts of the loss, each a scalar; training minimizes their sum.

        Args:
            outputs: Output of `forward` for a batch.
            targets: Ground truth of that batch.
        """
        raise NotImplementedError

    def exported(self) -> nn.Module:
        """Return a copy for export, which maps scaled tiles to the outputs that `head` describes.

        The copy accepts batches of any size and computes each tile independently.
        """
        raise NotImplementedError

    def head(self) -> HeadSpec:
        """Describe the outputs of the exported copy for their decoding."""
        raise NotImplementedError


def to_float32(outputs: Any) -> Any:
    """Return a network's outputs with every floating-point tensor in float32.

    Args:
        outputs: Tensor, or nested dictionaries, lists and tuples of tensors. A dictionary's class
            is called with its items as keyword arguments, as transformers' output classes allow.
    """
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, dict):
        return type(outputs)(**{name: to_float32(value) for name, value in outputs.items()})
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*map(to_float32, outputs))
    if isinstance(outputs, list | tuple):
        return type(outputs)(map(to_float32, outputs))
    return outputs


def _tensor(array: NDArray[Any], dtype: Any) -> Tensor:
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))
    return tensor
