"""A package's weights, loaded in the way that runs fastest here and works.

Each way is shown one tile when it is loaded. What fails then would fail for every tile of a scene:
half precision that a graph does not take, a library that does not run a file. The next way is taken
instead, and the log and the receipts say so. All ways on a GPU host use the GPU.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from swath.errors import ModelTimeoutError, PackageError
from swath.messages import Engine
from swath.models.runtimes import device
from swath.models.runtimes.time_limit import TimeLimit

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription, WeightsFormat
    from swath.models.mlm_output import Precision
    from swath.models.package import ModelPackage, Weights
    from swath.models.runtimes.base import Model, Runtime

logger = logging.getLogger(__name__)

_MODULES: dict[Runtime, tuple[str, str]] = {
    "onnx": ("swath.models.runtimes.onnx", "onnxruntime"),
    "tensorrt": ("swath.models.runtimes.onnx", "onnxruntime"),
    "torch": ("swath.models.runtimes.torch", "torch"),
    "compiled": ("swath.models.runtimes.torch", "torch"),
    "openvino": ("swath.models.runtimes.openvino", "openvino"),
}
_Ways = tuple[tuple["Runtime", "WeightsFormat"], ...]
# On a CPU they take the same time, within a few per cent; ONNX Runtime loads fastest.
_ON_CPU: _Ways = (
    ("onnx", "onnx"),
    ("torch", "torchscript"),
    ("torch", "pt2"),
    ("openvino", "onnx"),
)
# torch can compute in the precision that the package allows; ONNX Runtime in that of the weights.
_ON_GPU: _Ways = (
    ("torch", "pt2"),
    ("torch", "torchscript"),
    ("onnx", "onnx"),
)
# A compiler takes its time, and its rounding differs: it runs when it is asked for.
_ON_REQUEST: _Ways = (
    ("tensorrt", "onnx"),
    ("compiled", "pt2"),
)
_IN_ANY_PRECISION = {"torch", "compiled", "tensorrt"}
_MOST_WORDS = 300
"""Characters of an error: what torch says of a graph can be as long as the graph."""


class _Way(NamedTuple):
    """One way to run a package."""

    runtime: Runtime
    weights: Weights
    precision: Precision

    def __str__(self) -> str:
        return f"{self.weights.path.name} by {self.runtime} in {self.precision}"


def load_model(
    package: ModelPackage,
    *,
    runtime: Runtime | None = None,
    format: WeightsFormat | None = None,  # noqa: A002
    precision: Precision | None = None,
) -> Model:
    """Load a package's weights: those that run fastest here, unless told otherwise.

    Args:
        package: the model package.
        runtime: run it in this way only.
        format: run the weights of this format only.
        precision: compute in this precision if that works, on any device; by default in the
            package's on a GPU, and in float32 on a CPU.

    Raises:
        PackageError: no weights of the package can be run here.
        NoGpuError: there is a GPU, or there was to be one, and it cannot be used.
        ModelTimeoutError: it does not answer.
    """
    gpu = device.find_gpu()
    fallbacks: list[str] = []
    refused: PackageError | None = None
    silent: _Way | None = None
    for way in _ways(package, runtime, format, precision, gpu=gpu):
        if gpu and not device.computes_in(way.precision):
            fallbacks.append(f"{way}: this GPU only emulates {way.precision}")
            continue
        try:
            model = _load(way, package.description, fallbacks, gpu=gpu)
        except PackageError as error:
            refused, fault = refused or error, str(error)
        else:
            fault = _fault(model, package.description, way.precision)
            if not fault:
                return _told(model, package)
            silent = silent or way
            del model
            gc.collect()  # a batch that did not fit holds on to the device's memory
        fallbacks.append(f"{way}: {fault}"[:_MOST_WORDS])
    if silent:
        # Perhaps it is the tile that it does not take; the scene's own will show.
        return _told(_load(silent, package.description, fallbacks, gpu=gpu), package)
    if refused:
        raise refused
    offered = ", ".join(weights.path.name for weights in package.weights)
    raise PackageError(
        f"the package {package.description.name} has {offered}; none can be run here as asked "
        f"(runtime {runtime or 'any'}, format {format or 'any'}). "
        "onnxruntime and openvino run .onnx, torch runs .pt and .pt2: install the one that fits"
    )


def _ways(
    package: ModelPackage,
    runtime: Runtime | None,
    format_: WeightsFormat | None,
    precision: Precision | None,
    *,
    gpu: bool,
) -> Iterator[_Way]:
    """The ways to run a package here, the best first."""
    # Whoever asks for one way gets it, though it be on the CPU beside a GPU.
    known = (*_ON_CPU, *_ON_REQUEST) if runtime else _ON_CPU if format_ else ()
    for way, kind in dict.fromkeys((*_here(package, gpu=gpu), *known)):
        if runtime not in {None, way} or format_ not in {None, kind}:
            continue
        weights = next((w for w in package.weights if w.format == kind), None)
        if weights is None or importlib.util.find_spec(_MODULES[way][1]) is None:
            continue
        allowed = precision or (package.description.precision if gpu else "float32")
        if way in _IN_ANY_PRECISION and allowed != "float32":
            yield _Way(way, weights, allowed)
        yield _Way(way, weights, "float32")


def _here(package: ModelPackage, *, gpu: bool) -> _Ways:
    """The ways that use what this host has."""
    if not gpu:
        return _ON_CPU
    able = tuple(way for way in _ON_GPU if device.library_uses_gpu(_MODULES[way[0]][1]))
    offered = {weights.format for weights in package.weights}
    if offered & {kind for _, kind in able}:
        return able
    device.refuse_cpu(
        f"no library here runs {', '.join(sorted(offered))} of {package.description.name} on a GPU"
    )
    return _ON_CPU


def _load(way: _Way, description: ModelDescription, fallbacks: list[str], *, gpu: bool) -> Model:
    name, library = _MODULES[way.runtime]
    described = msgspec.structs.replace(description, precision=way.precision)
    library_module: Any = importlib.import_module(name)
    with TimeLimit.of(way.weights.path, way.runtime).watch("been loaded"):
        loaded = library_module.load(way.weights, described, way.runtime)
    on = device.describe("cuda" if gpu and device.library_uses_gpu(library) else "cpu")
    loaded.engine = Engine(
        device=on.name,
        driver=on.driver,
        runtime=way.runtime,
        weights=way.weights.format,
        precision=way.precision,
        fallbacks=list(fallbacks),
    )
    model: Model = loaded
    return model


def _fault(model: Model, description: ModelDescription, precision: Precision) -> str:
    """Show a model one black tile; why it does not answer, or nothing where it does."""
    tile = np.zeros((len(description.bands), *[description.tile_size] * 2), np.uint8)
    try:
        answers = model([tile])
    except ModelTimeoutError:
        raise
    except Exception as error:  # noqa: BLE001 (the libraries' errors have no common base)
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    numbers = [np.asarray(output) for answer in answers for output in answer]
    finite = all(np.isfinite(output).all() for output in numbers if output.dtype.kind == "f")
    return "" if finite or precision == "float32" else f"NaN or infinity in {precision}"


def _told(model: Model, package: ModelPackage) -> Model:
    # Where nothing runs, the error says why; these would be lines beside it.
    for fallback in model.engine.fallbacks if model.engine else ():
        logger.warning("%s does not run here: %s", package.description.name, fallback)
    said = msgspec.json.encode(model.engine).decode()
    logger.info("the model %s runs here: %s", package.description.name, said)
    return model
