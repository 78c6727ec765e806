"""What a network is to those who train it, and what it is told of the truth."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.packaging.write_mlm import OutputSpec


class Head(TypedDict):
    """What swath must know of a network's exported form to read it: fields of a `PackageSpec`."""

    architecture: str
    task: str
    outputs: tuple[OutputSpec, ...]
    hyperparameters: dict[str, Any]


class Labelled(Protocol):
    """A crop of a labelled scene, as far as networks look at it."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(size, size), True where there is a scene."""

    @property
    def boxes(self) -> NDArray[Any]:
        """(n, 4): x_min, y_min, x_max, y_max; px."""

    @property
    def classes(self) -> NDArray[Any]:
        """(n,)."""

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """(n,), True where a label stands for an area that counts neither way."""

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """(size, size), each pixel's class or NOTHING; None where there are only boxes."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The truth about a batch of crops."""

    boxes: tuple[Tensor, ...]
    """Of each crop float32 (n, 4): x_min, y_min, x_max, y_max; px."""
    classes: tuple[Tensor, ...]
    """Of each crop int64 (n,)."""
    crowd: tuple[Tensor, ...]
    """Of each crop bool (n,): True where a label stands for an area that counts neither way."""
    valid: Tensor
    """bool (batch, size, size): False where there is no scene; nothing is learnt there."""
    labels: Tensor | None = None
    """int64 (batch, size, size): each pixel's class or NOTHING."""

    @classmethod
    def collate(cls, crops: Sequence[Labelled]) -> Targets:
        """The truth of crops, in their order."""
        maps = [crop.labels for crop in crops if crop.labels is not None]
        return cls(
            boxes=tuple(_tensor(crop.boxes, np.float32).reshape(-1, 4) for crop in crops),
            classes=tuple(_tensor(crop.classes, np.int64) for crop in crops),
            crowd=tuple(_tensor(crop.crowd, np.bool_) for crop in crops),
            valid=_tensor(np.stack([crop.valid for crop in crops]), np.bool_),
            labels=_tensor(np.stack(maps), np.int64) if len(maps) == len(crops) else None,
        )

    def part(self, crops: slice) -> Targets:
        """The truth about some of the crops."""
        return Targets(
            boxes=self.boxes[crops],
            classes=self.classes[crops],
            crowd=self.crowd[crops],
            valid=self.valid[crops],
            labels=None if self.labels is None else self.labels[crops],
        )

    def to(self, device: torch.device | str) -> Targets:
        """The same on a device."""
        return Targets(
            boxes=tuple(boxes.to(device) for boxes in self.boxes),
            classes=tuple(classes.to(device) for classes in self.classes),
            crowd=tuple(crowd.to(device) for crowd in self.crowd),
            valid=self.valid.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


class Network(nn.Module):
    """A network of one architecture, for so many bands and classes."""

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """What is to be made small: the sum of named parts, each a finite scalar.

        Args:
            outputs: what `forward` returned for a batch.
            targets: the truth of that batch.
        """
        raise NotImplementedError

    def exported(self) -> nn.Module:
        """What goes into a package: a copy, from scaled tiles to what `head` describes.

        It treats every tile of a batch by itself and takes any number of them.
        """
        raise NotImplementedError

    def head(self) -> Head:
        """How swath reads what `exported` returns."""
        raise NotImplementedError


def in_float32(outputs: Any) -> Any:
    """Return what a network said with every floating-point tensor in float32.

    Args:
        outputs: a tensor, or dictionaries, lists and tuples of such; a dictionary's class is called
            with its items as keywords, as that of transformers' outputs is.
    """
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, dict):
        return type(outputs)(**{name: in_float32(value) for name, value in outputs.items()})
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*map(in_float32, outputs))
    if isinstance(outputs, list | tuple):
        return type(outputs)(map(in_float32, outputs))
    return outputs


def _tensor(array: NDArray[Any], dtype: Any) -> Tensor:
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))
    return tensor
