"""Load a package's weights with the fastest runtime that works on this machine.

Each runtime computes one tile after loading. An error there would occur at every tile of a scene.
Examples are a graph that does not support half precision, and a library that cannot run a file.
The next runtime is then tried, and the log and the receipts record the fallback. On a host with a
GPU, all runtimes that are tried by default use the GPU.
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
# On a CPU, all runtimes take the same time within a few percent. ONNX Runtime loads fastest.
_ON_CPU: _Ways = (
    ("onnx", "onnx"),
    ("torch", "torchscript"),
    ("torch", "pt2"),
    ("openvino", "onnx"),
)
# torch can compute in the precision that the package allows, ONNX Runtime only in that of the
# weights.
_ON_GPU: _Ways = (
    ("torch", "pt2"),
    ("torch", "torchscript"),
    ("onnx", "onnx"),
)
# A compiler takes long and rounds differently, so these runtimes are used on request only.
_ON_REQUEST: _Ways = (
    ("tensorrt", "onnx"),
    ("compiled", "pt2"),
)
_IN_ANY_PRECISION = {"torch", "compiled", "tensorrt"}
_MOST_WORDS = 300
"""Maximum length of an error in characters. torch's messages about a graph can be as long as the
graph."""


class _Way(NamedTuple):
    """Runtime, weights and precision to run a package with."""

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
    """Load the weights of a package that run fastest on this machine.

    Args:
        package: Model package.
        runtime: Only runtime to use; by default, any.
        format: Only format of weights to use; by default, any.
        precision: Precision to compute in if it works, on any device. The default is the package's
            precision on a GPU, and float32 on a CPU.

    Raises:
        PackageError: No weights of the package can run on this machine.
        NoGpuError: This process has or expects a GPU, but cannot use it.
        ModelTimeoutError: The model does not load or does not answer in time.
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
            gc.collect()  # frees the device memory of a batch that did not fit
        fallbacks.append(f"{way}: {fault}"[:_MOST_WORDS])
    if silent:
        # Perhaps the model fails at the black tile only. The scene's tiles will show it.
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
    """Yield the candidates to run a package with on this machine, the best first."""
    # A requested runtime or format is used even if it runs on the CPU of a host with a GPU.
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
    """Return the runtimes and formats that use this host's GPU, or the CPU without a GPU."""
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
    """Run a model on one black tile; return why it fails, or an empty string if it works."""
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
    # The fallbacks are logged only when a model runs. Otherwise, the error gives the reason.
    for fallback in model.engine.fallbacks if model.engine else ():
        logger.warning("%s does not run here: %s", package.description.name, fallback)
    said = msgspec.json.encode(model.engine).decode()
    logger.info("the model %s runs here: %s", package.description.name, said)
    return model
