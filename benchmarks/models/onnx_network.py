"""Build the detector as an ONNX graph."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.models.network import BOX_SIZE, STRIDE, Architecture, Weights, cell_centers, run

_OPSET_VERSION = 17
_IR_VERSION = 8
_END = np.iinfo(np.int64).max


class _Builder:
    """Builder of a graph, in which a tensor is represented by its name."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[Any] = []
        self.constants = {name: values.copy() for name, values in weights.items()}
        self._numbers = count()

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}_{next(self._numbers)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, dtype: str = "float32") -> str:
        name = f"constant_{next(self._numbers)}"
        self.constants[name] = np.asarray(values, dtype)
        return name

    def conv(self, x: str, name: str, *, stride: int = 1) -> str:
        weight, bias = f"{name}.weight", f"{name}.bias"
        pad = self.constants[weight].shape[-1] // 2
        return self.node("Conv", x, weight, bias, strides=[stride] * 2, pads=[pad] * 4)

    def silu(self, x: str) -> str:
        return self.node("Mul", x, self.node("Sigmoid", x))

    def add(self, x: str, y: str) -> str:
        return self.node("Add", x, y)

    def concat(self, *parts: str) -> str:
        return self.node("Concat", *parts, axis=1)

    def upsample(self, x: str) -> str:
        scales = self.constant([1, 1, 2, 2])
        return self.node(
            "Resize",
            x,
            "",
            scales,
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def boxes(self, head: str) -> str:
        score = self.node("Sigmoid", self._channels(head, 0, 1))
        pooled = self.node("MaxPool", score, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
        peak = self.node("Cast", self.node("Equal", score, pooled), to=TensorProto.FLOAT)
        score = self._flat(self.node("Mul", score, peak))
        offset = self.node("Tanh", self._flat(self._channels(head, 1, 3)))
        offset = self.node("Mul", offset, self.constant(STRIDE / 2))
        center = self.node("Add", offset, "centers")
        side = self._flat(self._channels(head, 3, 5))
        side = self.node("Clip", side, self.constant(-1), self.constant(1))
        side = self.node("Mul", self.node("Exp", side), self.constant(BOX_SIZE))
        return self.concat(center, side, score)

    def _channels(self, x: str, first: int, last: int) -> str:
        bounds = (self.constant([value], "int64") for value in (first, last, 1))
        return self.node("Slice", x, *bounds)

    def _flat(self, x: str) -> str:
        return self.node("Reshape", x, self.constant([0, 0, -1], "int64"))


def build(architecture: Architecture, weights: Weights, side: int) -> bytes:
    """Build a model from `image` (batch, 3, side, side) to `pred` (batch, 5, candidates)."""
    builder = _Builder(weights)
    grid = cell_centers(side)
    builder.constants["centers"] = grid
    found = run(builder, architecture, "image")
    builder.nodes.append(helper.make_node("Identity", [found], ["pred"]))
    graph = helper.make_graph(
        builder.nodes,
        f"detector_{architecture.name}",
        [_tensor("image", ["batch", 3, side, side])],
        [_tensor("pred", ["batch", 5, grid.shape[-1]])],
        [numpy_helper.from_array(values, name) for name, values in builder.constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET_VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())


def _tensor(name: str, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
