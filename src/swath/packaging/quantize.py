"""Convert ONNX models to lower precision: float16 or int8.

Both conversions keep float32 at both ends of a network. Before the first convolution or matrix
product, raw pixels are scaled to the network's range: 16-bit pixels may exceed 65504, the largest
number in half precision. After the last one, boxes get their positions in the tile: half precision
resolves 1000 px to only half a px.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from swath.errors import InputError, PackageError
from swath.errors.extras import missing_module_message
from swath.models.runtimes.host_input import HostInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.packaging.sample_tiles import Tile

Precision = Literal["float16", "int8"]

_COMPUTE_OPS = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_MIN_OPSET = 13
"""Minimum opset for quantization per channel:
https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html"""


def to_float16(source: Path, target: Path) -> None:
    """Convert a model to half precision; inputs, outputs and both ends stay float32.

    Args:
        source: ONNX model to convert.
        target: File to write.

    Raises:
        InputError: A necessary library is not installed.
        PackageError: The model cannot be converted.
    """
    onnx = _library("onnx")
    convert = _library("onnxruntime.transformers.float16").convert_float_to_float16
    model = _name_nodes(onnx.load(source))
    try:
        smaller = convert(model, keep_io_types=True, node_block_list=sorted(_ends(model.graph)))
        _repair_graph(smaller)
        onnx.checker.check_model(smaller)
    except Exception as error:
        # The libraries' errors share no base class but Exception.
        raise PackageError(f"{source} cannot be converted to float16: {error}") from error
    onnx.save(smaller, target)


def to_int8(
    source: Path, target: Path, tiles: Iterable[Tile], description: ModelDescription
) -> None:
    """Convert convolutions and matrix products to 8-bit integers.

    Static quantization derives the ranges of the activations from the calibration tiles.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

    Args:
        source: ONNX model to convert.
        target: File to write.
        tiles: Calibration tiles (bands, size, size), similar to those of later runs.
        description: Description of the model.

    Raises:
        InputError: A necessary library is not installed.
        PackageError: The model cannot be converted.
    """
    onnx = _library("onnx")
    quantization = _library("onnxruntime.quantization")
    preprocess = _library("onnxruntime.quantization.shape_inference").quant_pre_process
    with tempfile.TemporaryDirectory() as folder:
        prepared, newer = Path(folder, "prepared.onnx"), Path(folder, "newer.onnx")
        try:
            onnx.save(_upgrade_opset(onnx.load(source)), newer)
            preprocess(str(newer), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(target),
                _reader(quantization, _input_name(onnx, source), tiles, description),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=sorted(_COMPUTE_OPS - {"ConvTranspose"}),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:
            raise PackageError(f"{source} cannot be converted to int8: {error}") from error


def _reader(
    quantization: Any, name: str, tiles: Iterable[Tile], description: ModelDescription
) -> Any:
    """Return a calibration reader that passes one scaled tile after the other to the library."""
    feed = HostInput(description)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._tiles: Iterator[NDArray[Any]] = iter(tiles)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            tile = next(self._tiles, None)
            return None if tile is None else {name: feed([tile], 1).copy()}

    return Reader()


def _ends(graph: Any) -> set[str]:
    """Return the names of the nodes before the first heavy node and after the last one."""
    heavy = {node.name for node in graph.node if node.op_type in _COMPUTE_OPS}
    after = _downstream(graph.node, heavy, inputs="input", outputs="output")
    before = _downstream(list(reversed(graph.node)), heavy, inputs="output", outputs="input")
    middle = (after & before) | heavy
    return {node.name for node in graph.node} - middle


def _downstream(nodes: Iterable[Any], heavy: set[str], *, inputs: str, outputs: str) -> set[str]:
    """Return the names of the nodes downstream of heavy nodes; `nodes` is in order of the flow."""
    values: set[str] = set()
    reached = set()
    for node in nodes:
        is_reached = any(name in values for name in getattr(node, inputs))
        if is_reached:
            reached.add(node.name)
        if is_reached or node.name in heavy:
            values.update(name for name in getattr(node, outputs) if name)
    return reached


def _name_nodes(model: Any) -> Any:
    """Give every node a unique name, and return the model."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


def _repair_graph(model: Any) -> None:
    """Repair the graph that the library leaves if some nodes stay in float32.

    If several float32 nodes take a value, the library adds a conversion for each, all under one
    name. It passes values between two float32 nodes through half precision. It also appends
    conversions to the end of the graph, out of topological order.
    """
    produced: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in produced:
            model.graph.node.remove(node)
        produced.update(node.output)
    _skip_detours(model.graph)
    _library("onnxruntime.transformers.onnx_model").OnnxModel(model).topological_sort()


def _skip_detours(graph: Any) -> None:
    """Connect float32 consumers directly to float32 values that pass through half precision."""
    types = _library("onnx").TensorProto
    halved = {n.output[0]: n.input[0] for n in graph.node if _casts_to(n, types.FLOAT16)}
    for node in graph.node:
        if _casts_to(node, types.FLOAT) and node.input[0] in halved:
            # The remaining cast from float32 to float32 has no effect.
            node.input[0] = halved[node.input[0]]
    used = {name for node in graph.node for name in node.input}
    for node in [n for n in graph.node if n.output[0] in halved and n.output[0] not in used]:
        graph.node.remove(node)


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def _upgrade_opset(model: Any) -> Any:
    """Return the model, upgraded to the opset of quantization per channel if it is older."""
    version = next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})
    if version >= _MIN_OPSET:
        return model
    converter = _library("onnx.version_converter")
    return converter.convert_version(model, _MIN_OPSET)


def _input_name(onnx: Any, source: Path) -> str:
    """Return the name of the only input that is not an initializer."""
    graph = onnx.load(source, load_external_data=False).graph
    initializers = {tensor.name for tensor in graph.initializer}
    (name,) = [entry.name for entry in graph.input if entry.name not in initializers]
    return str(name)


def _library(name: str) -> Any:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        raise InputError(missing_module_message(name))
    return importlib.import_module(name)
