"""Determine the inputs and outputs of an exported network by running it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import ModelTimeoutError, PackageError
from swath.errors.extras import missing_module_message
from swath.models.runtimes.base import check_float32, weights_load_error
from swath.models.runtimes.time_limit import TimeLimit
from swath.models.weights_format import check_weights_file, detect_format
from swath.packaging.exporter_metadata import (
    count_parameters,
    metadata_tile_size,
    read_config_files,
    torchscript_metadata,
)
from swath.packaging.probes import NATURAL, probe_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import WeightsFormat

SUFFIX_BY_FORMAT: dict[WeightsFormat, str] = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2"}
_IMAGE_AXES = 4
_NamedOutputs = list[tuple[str, "NDArray[Any]"]]
"""Outputs of one call, as (name, array) pairs in the network's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedOutput:
    """One output of the network, with its arrays for probe tiles that hold no objects."""

    name: str
    shape: tuple[int, ...]
    data_type: str
    values: tuple[NDArray[Any], ...] = field(default=(), repr=False, compare=False)
    """Arrays of the output, one for each probe; the first has the shape `shape`."""

    @property
    def natural_values(self) -> tuple[NDArray[Any], ...]:
        """Arrays for the probes with pixel values that most networks accept."""
        return self.values[:NATURAL]

    @property
    def is_integer(self) -> bool:
        """True if the output holds integers."""
        return self.data_type.startswith(("int", "uint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedNetwork:
    """Exported network, as inspected."""

    path: Path
    format: WeightsFormat
    input_name: str
    batch: int | None
    """Fixed batch size in tiles; None: any."""
    bands: int
    size: int
    """Side of a tile in px."""
    outputs: tuple[ExportedOutput, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Metadata that the exporter wrote into the file."""
    configs: Mapping[str, Any] = field(default_factory=dict)
    """JSON files beside the weights, by name: transformers stores its configuration there."""
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class _OpenedNetwork:
    """Callable network with its file's metadata; fields that the file does not state are None."""

    call: Any
    input_name: str
    shape: tuple[int | None, ...] | None
    metadata: Mapping[str, str]
    parameters: int | None


def detect_weights_format(path: Path) -> WeightsFormat:
    """Return the format of a weights file, determined from its content.

    Raises:
        PackageError: The file is missing, or swath cannot run it; the message names the remedy.
    """
    if not path.is_file():
        raise PackageError(f"the weights {path} do not exist; check the path")
    weights_format = detect_format(path)
    if weights_format in SUFFIX_BY_FORMAT:
        return weights_format
    by_suffix = {suffix: name for name, suffix in SUFFIX_BY_FORMAT.items()}
    expected = by_suffix.get(path.suffix, "torchscript")
    check_weights_file(path, expected)
    raise PackageError(
        f"{path} is not an ONNX model, TorchScript or an exported program (.pt2): export the "
        "network with torch.onnx.export, torch.jit.save or torch.export.save"
    )


def inspect_network(path: Path, *, bands: int, size: int | None = None) -> ExportedNetwork:
    """Open an exported network and run it on probes: noise and shapes in several value ranges.

    Args:
        path: Path of the weights file.
        bands: Number of input bands.
        size: Side of a tile in px, if the file does not fix it.

    Raises:
        PackageError: The network cannot be run, expects another input, or leaves the tile size
            open.
    """
    weights_format = detect_weights_format(path)
    _library("onnxruntime" if weights_format == "onnx" else "torch", path)
    with TimeLimit.from_env(path).watch("been loaded"):
        opened = _OPENERS[weights_format](path)
    shape = _input_shape(path, opened, bands)
    side = _tile_size(path, shape[2:], size, opened.metadata)
    return ExportedNetwork(
        path=path,
        format=weights_format,
        input_name=opened.input_name,
        batch=shape[0],
        bands=bands,
        size=side,
        outputs=_run(path, opened, (shape[0] or 1, bands, side, side)),
        metadata=opened.metadata,
        configs=read_config_files(path),
        parameters=opened.parameters,
    )


def _input_shape(path: Path, opened: _OpenedNetwork, bands: int) -> tuple[int | None, ...]:
    """Return (batch, bands, height, width); None for an axis of any or unknown length."""
    shape = opened.shape or (None,) * _IMAGE_AXES
    if len(shape) != _IMAGE_AXES:
        raise PackageError(
            f"{path} takes an input of shape {list(shape)}; swath feeds (batch, bands, height, "
            "width). torchvision's detectors take a list of images: export a module whose forward "
            "is `return self.detector([tiles[0]])[0]`, for one tile per call"
        )
    if shape[1] not in {None, bands}:
        raise PackageError(
            f"{path} takes {shape[1]} bands, but --bands names {bands}: correct --bands"
        )
    return shape


def _tile_size(
    path: Path,
    fixed_size: tuple[int | None, ...],
    size: int | None,
    metadata: Mapping[str, str],
) -> int:
    """Return the tile size in px: from the file, else `size`, else the exporter's metadata."""
    height, width = fixed_size
    if height != width:
        raise PackageError(
            f"{path} takes tiles of {width} x {height} px; swath cuts square tiles: "
            "export the network for square tiles"
        )
    if height is not None and size not in {None, height}:
        raise PackageError(
            f"{path} takes tiles of {height} px, not {size} px: leave --tile-size out"
        )
    tile_size = height or size or metadata_tile_size(metadata)
    if tile_size is None:
        raise PackageError(f"{path} has no fixed tile size: choose one with --tile-size")
    return tile_size


def _run(path: Path, opened: _OpenedNetwork, shape: tuple[int, ...]) -> tuple[ExportedOutput, ...]:
    first, *others = probe_tiles(shape)
    try:
        outputs = opened.call(first)
    except (PackageError, ModelTimeoutError):
        raise
    except Exception as error:
        # The libraries' errors share no base class but Exception.
        raise PackageError(f"{path} cannot be run on tiles {shape}: {error}") from error
    results = [
        outputs,
        *(result for tiles in others if (result := _call(opened, tiles, len(outputs)))),
    ]
    return tuple(
        ExportedOutput(
            name=name,
            shape=array.shape,
            data_type=str(array.dtype),
            values=tuple(result[index][1] for result in results),
        )
        for index, (name, array) in enumerate(outputs)
    )


def _call(opened: _OpenedNetwork, tiles: NDArray[np.float32], count: int) -> _NamedOutputs | None:
    """Return the outputs for a further probe; None if the network rejects its value range."""
    try:
        outputs: _NamedOutputs = opened.call(tiles)
    except ModelTimeoutError:
        raise
    except Exception:  # noqa: BLE001 (the libraries' errors have no common base)
        return None
    finite = all(array.dtype.kind != "f" or np.isfinite(array).all() for _, array in outputs)
    return outputs if len(outputs) == count and finite else None


def _open_onnx(path: Path) -> _OpenedNetwork:
    onnxruntime = _library("onnxruntime", path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise weights_load_error(path, error) from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise PackageError(f"{path} takes {[i.name for i in inputs]}; swath feeds one input")
    check_float32(path, inputs[0].type)
    names = [output.name for output in session.get_outputs()]

    run_options = importlib.import_module("swath.models.runtimes.onnx_session").run_options
    limit = TimeLimit.from_env(path)

    def call(tiles: NDArray[np.float32]) -> _NamedOutputs:
        with run_options(limit) as options:
            results = session.run(names, {inputs[0].name: tiles}, options)
        return list(zip(names, results, strict=True))

    shape = tuple(axis if isinstance(axis, int) else None for axis in inputs[0].shape)
    notes = dict(session.get_modelmeta().custom_metadata_map)
    return _OpenedNetwork(call, inputs[0].name, shape, notes, count_parameters(path))


def _open_pt2(path: Path) -> _OpenedNetwork:
    _library("torch", path)
    files = importlib.import_module("swath.models.runtimes.torch_files")
    try:
        program = files.read_pt2(path)
    except PackageError:
        raise
    except Exception as error:
        raise weights_load_error(path, error) from error
    inputs = files.program_inputs(program)
    if len(inputs) != 1:
        raise PackageError(f"{path} takes {[name for name, *_ in inputs]}; swath feeds one input")
    name, shape, dtype = inputs[0]
    check_float32(path, dtype)
    count = sum(parameter.numel() for parameter in program.parameters())
    return _OpenedNetwork(_torch_call(program.module(), path), name, tuple(shape), {}, count)


def _open_torchscript(path: Path) -> _OpenedNetwork:
    torch = _library("torch", path)
    files = importlib.import_module("swath.models.runtimes.torch_files")
    try:
        module = files.read_torchscript(path, torch.device("cpu"))
    except Exception as error:
        raise weights_load_error(path, error) from error
    count = sum(parameter.numel() for parameter in module.parameters())
    return _OpenedNetwork(
        _torch_call(module, path), "image", None, torchscript_metadata(path), count
    )


_OPENERS = {"onnx": _open_onnx, "pt2": _open_pt2, "torchscript": _open_torchscript}


def _torch_call(module: Any, path: Path) -> Any:
    torch = importlib.import_module("torch")
    limit = TimeLimit.from_env(path)

    def call(tiles: NDArray[np.float32]) -> _NamedOutputs:
        with torch.inference_mode(), limit.watch("answered"):
            result = module(torch.from_numpy(tiles))
        return [(name, tensor.numpy()) for name, tensor in _named_tensors(result)]

    return call


def _named_tensors(result: Any, name: str = "output") -> Iterator[tuple[str, Any]]:
    """Yield the (name, tensor) pairs of nested outputs in order, named by key if there is one."""
    if isinstance(result, Mapping):
        for key, part in result.items():
            yield from _named_tensors(part, str(key))
    elif isinstance(result, list | tuple):
        for index, part in enumerate(result):
            yield from _named_tensors(part, f"{name}{index}")
    elif hasattr(result, "numpy"):
        yield name, result
    else:
        raise PackageError(f"the network returns a {type(result).__name__}, which is not a tensor")


def _library(name: str, path: Path) -> Any:
    if importlib.util.find_spec(name) is None:
        raise PackageError(f"{path}: {missing_module_message(name)}")
    return importlib.import_module(name)
