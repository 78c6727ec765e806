"""Define a fully convolutional detector once, for torch and for ONNX.

The encoder has residual blocks down to stride 16, and one step back up to stride 8. The head
predicts a box and a score for each cell of 8 px; only scores that are maximal in their neighborhood
count. The weights are random numbers from a seed, so the detector detects nothing in particular.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

STRIDE = 8
"""Distance in px between neighboring candidates."""
BOX_SIZE = 16.0
"""Side of a typical box in px."""
_HEAD_CHANNELS = 5
"""Number of values of a cell: score, offsets in x and y, width and height."""

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Width and depth of a network."""

    name: str
    width: int
    depths: tuple[int, int, int]
    """Residual blocks at strides 4, 8 and 16."""


SMALL = Architecture("1m", 16, (1, 2, 2))
MEDIUM = Architecture("10m", 48, (1, 4, 2))
LARGE = Architecture("30m", 80, (1, 2, 3))
ARCHITECTURES = {one.name: one for one in (SMALL, MEDIUM, LARGE)}


class Operations(Protocol):
    """Layers of a network; the type of a tensor depends on the builder."""

    def conv(self, x: Any, name: str, *, stride: int = 1) -> Any:
        """Convolve with the weights of that name."""

    def silu(self, x: Any) -> Any:
        """Multiply the tensor by its own sigmoid."""

    def add(self, x: Any, y: Any) -> Any:
        """Sum of two tensors."""

    def concat(self, *parts: Any) -> Any:
        """Join the tensors along the channels."""

    def upsample(self, x: Any) -> Any:
        """Repeat each cell twice along both axes."""

    def boxes(self, head: Any) -> Any:
        """Convert the head's output (batch, 5, rows, cols) to (batch, 5, candidates)."""


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    inputs: int
    outputs: int
    kernel: int = 3


def layers(architecture: Architecture) -> Iterator[_Layer]:
    """Yield all convolutions."""
    w = architecture.width
    yield _Layer("stem", 3, w)
    for stage, depth in enumerate(architecture.depths, 1):
        channels = w << stage
        yield _Layer(f"down{stage}", channels // 2, channels)
        for block in range(depth):
            yield _Layer(f"stage{stage}.{block}.a", channels, channels)
            yield _Layer(f"stage{stage}.{block}.b", channels, channels)
    yield _Layer("lateral", 8 * w, 4 * w, 1)
    yield _Layer("fuse", 8 * w, 4 * w)
    yield _Layer("neck", 4 * w, 4 * w)
    yield _Layer("head", 4 * w, _HEAD_CHANNELS, 1)


def make_weights(architecture: Architecture, seed: int = 0) -> Weights:
    """Return random weights, scaled so that signals keep their variance (He et al., 2015)."""
    rng = np.random.default_rng([seed, architecture.width])
    weights: Weights = {}
    for layer in layers(architecture):
        shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        scale = np.sqrt(2 / (layer.inputs * layer.kernel**2))
        # A residual block's second half starts small, or the sums would grow block by block.
        scale *= 0.2 if layer.name.endswith(".b") else 1
        weights[f"{layer.name}.weight"] = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights[f"{layer.name}.bias"] = np.zeros(layer.outputs, np.float32)
    return weights


def run(operations: Operations, architecture: Architecture, image: Any) -> Any:
    """Build the network on (batch, 3, rows, cols) with the given operations."""

    def unit(x: Any, name: str, *, stride: int = 1) -> Any:
        return operations.silu(operations.conv(x, name, stride=stride))

    x = unit(image, "stem", stride=2)
    stages = []
    for stage, depth in enumerate(architecture.depths, 1):
        x = unit(x, f"down{stage}", stride=2)
        for block in range(depth):
            name = f"stage{stage}.{block}"
            x = operations.add(x, unit(unit(x, f"{name}.a"), f"{name}.b"))
        stages.append(x)
    up = operations.upsample(unit(stages[2], "lateral"))
    x = unit(unit(operations.concat(stages[1], up), "fuse"), "neck")
    return operations.boxes(operations.conv(x, "head"))


def cell_centers(side: int) -> NDArray[np.float32]:
    """Return the centers of the cells of a tile of `side` px, (1, 2, candidates): x, y."""
    centers = (np.arange(side // STRIDE, dtype=np.float32) + 0.5) * STRIDE
    y, x = np.meshgrid(centers, centers, indexing="ij")
    return np.stack([x.ravel(), y.ravel()])[None]
