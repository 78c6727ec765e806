"""ONNX models in fewer bits: half precision, and integers of eight bits.

Both leave the ends of a network as they are. Before the first convolution or matrix product, raw
pixels are brought to the network's range: a number of 16 bits does not fit half precision, whose
largest is 65504. After the last one, boxes get their places in the tile: half precision knows 1000
px to half a px.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from swath.errors import InputError, PackageError
from swath.errors.extras import not_installed
from swath.models.runtimes.host_input import HostFeed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.packaging.sample_tiles import Tile

Precision = Literal["float16", "int8"]

_HEAVY = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_OPSET = 13
"""Integers a channel need it: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html"""


def to_float16(source: Path, target: Path) -> None:
    """Compute in half precision; inputs, outputs and both ends of the network stay float32.

    Raises:
        InputError: the library that can do it is not installed.
        PackageError: the model cannot be converted.
    """
    onnx = _library("onnx")
    convert = _library("onnxruntime.transformers.float16").convert_float_to_float16
    model = _named(onnx.load(source))
    try:
        smaller = convert(model, keep_io_types=True, node_block_list=sorted(_ends(model.graph)))
        _mend(smaller)
        onnx.checker.check_model(smaller)
    except Exception as error:
        # The libraries' errors have no common base but Exception.
        raise PackageError(f"{source} cannot be brought to float16: {error}") from error
    onnx.save(smaller, target)


def to_int8(
    source: Path, target: Path, tiles: Iterable[Tile], description: ModelDescription
) -> None:
    """Compute convolutions and matrix products in eight bits.

    Static quantisation: the ranges of what flows through the network are those of the tiles.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

    Args:
        source: the model.
        target: to write to.
        tiles: to calibrate with, such as the model will see.
        description: what the package says of the model.

    Raises:
        InputError: the library that can do it is not installed.
        PackageError: the model cannot be converted.
    """
    onnx = _library("onnx")
    quantization = _library("onnxruntime.quantization")
    preprocess = _library("onnxruntime.quantization.shape_inference").quant_pre_process
    with tempfile.TemporaryDirectory() as folder:
        prepared, newer = Path(folder, "prepared.onnx"), Path(folder, "newer.onnx")
        try:
            onnx.save(_at_least(onnx.load(source)), newer)
            preprocess(str(newer), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(target),
                _reader(quantization, _input_name(onnx, source), tiles, description),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=sorted(_HEAVY - {"ConvTranspose"}),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:
            raise PackageError(f"{source} cannot be brought to int8: {error}") from error


def _reader(
    quantization: Any, name: str, tiles: Iterable[Tile], description: ModelDescription
) -> Any:
    """Hands the library one scaled tile after the other."""
    feed = HostFeed(description)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._tiles: Iterator[NDArray[Any]] = iter(tiles)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            tile = next(self._tiles, None)
            return None if tile is None else {name: feed([tile], 1).copy()}

    return Reader()


def _ends(graph: Any) -> set[str]:
    """The nodes before the first heavy ones, and those after the last."""
    heavy = {node.name for node in graph.node if node.op_type in _HEAVY}
    after = _reached(graph.node, heavy, inputs="input", outputs="output")
    before = _reached(list(reversed(graph.node)), heavy, inputs="output", outputs="input")
    middle = (after & before) | heavy
    return {node.name for node in graph.node} - middle


def _reached(nodes: Iterable[Any], heavy: set[str], *, inputs: str, outputs: str) -> set[str]:
    """The nodes that something heavy leads to, for nodes in the order of the flow."""
    values: set[str] = set()
    found = set()
    for node in nodes:
        led = any(name in values for name in getattr(node, inputs))
        if led:
            found.add(node.name)
        if led or node.name in heavy:
            values.update(name for name in getattr(node, outputs) if name)
    return found


def _named(model: Any) -> Any:
    """Every node gets a name of its own."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


def _mend(model: Any) -> None:
    """Put right what the library leaves where some nodes stay in float32.

    A value that several of those take is converted once for each, under one name; between two of
    them, values go through half precision; and conversions stand last, whatever needs them.
    """
    seen: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in seen:
            model.graph.node.remove(node)
        seen.update(node.output)
    _skip_detours(model.graph)
    _library("onnxruntime.transformers.onnx_model").OnnxModel(model).topological_sort()


def _skip_detours(graph: Any) -> None:
    """Take float32 values from where they are made, not from half precision and back."""
    types = _library("onnx").TensorProto
    halved = {n.output[0]: n.input[0] for n in graph.node if _casts_to(n, types.FLOAT16)}
    for node in graph.node:
        if _casts_to(node, types.FLOAT) and node.input[0] in halved:
            # What is left is a conversion of float32 to itself, which changes nothing.
            node.input[0] = halved[node.input[0]]
    used = {name for node in graph.node for name in node.input}
    for node in [n for n in graph.node if n.output[0] in halved and n.output[0] not in used]:
        graph.node.remove(node)


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def _at_least(model: Any) -> Any:
    """The model, in a newer edition of ONNX where its own has no integers a channel."""
    version = next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})
    if version >= _OPSET:
        return model
    converter = _library("onnx.version_converter")
    return converter.convert_version(model, _OPSET)


def _input_name(onnx: Any, source: Path) -> str:
    """Of the one input that is no initializer."""
    graph = onnx.load(source, load_external_data=False).graph
    held = {tensor.name for tensor in graph.initializer}
    (name,) = [entry.name for entry in graph.input if entry.name not in held]
    return str(name)


def _library(name: str) -> Any:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        raise InputError(not_installed(name))
    return importlib.import_module(name)
