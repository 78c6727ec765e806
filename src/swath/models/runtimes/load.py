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
_Choices = tuple[tuple["Runtime", "WeightsFormat"], ...]
# On a CPU, all runtimes take the same time within a few percent. ONNX Runtime loads fastest.
_ON_CPU: _Choices = (
    ("onnx", "onnx"),
    ("torch", "torchscript"),
    ("torch", "pt2"),
    ("openvino", "onnx"),
)
# torch can compute in the precision that the package allows, ONNX Runtime only in that of the
# weights.
_ON_GPU: _Choices = (
    ("torch", "pt2"),
    ("torch", "torchscript"),
    ("onnx", "onnx"),
)
# A compiler takes long and rounds differently, so these runtimes are used on request only.
_ON_REQUEST: _Choices = (
    ("tensorrt", "onnx"),
    ("compiled", "pt2"),
)
_REDUCED_PRECISION_RUNTIMES = {"torch", "compiled", "tensorrt"}
_MAX_FAILURE_CHARACTERS = 300
"""Maximum length of an error in characters. torch's messages about a graph can be as long as the
graph."""


class _Candidate(NamedTuple):
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
    gpu = device.runs_on_gpu()
    fallbacks: list[str] = []
    first_refusal: PackageError | None = None
    first_failed: _Candidate | None = None
    for candidate in _candidates(package, runtime, format, precision, gpu=gpu):
        if gpu and not device.supports_precision(candidate.precision):
            fallbacks.append(f"{candidate}: this GPU only emulates {candidate.precision}")
            continue
        try:
            model = _load(candidate, package.description, fallbacks, gpu=gpu)
        except PackageError as error:
            first_refusal, failure = first_refusal or error, str(error)
        else:
            failure = _try_model(model, package.description, candidate.precision)
            if not failure:
                return _log_model(model, package)
            first_failed = first_failed or candidate
            del model
            gc.collect()  # frees the device memory of a batch that did not fit
        fallbacks.append(f"{candidate}: {failure}"[:_MAX_FAILURE_CHARACTERS])
    if first_failed:
        # Perhaps the model fails at the black tile only. The scene's tiles will show it.
        return _log_model(_load(first_failed, package.description, fallbacks, gpu=gpu), package)
    if first_refusal:
        raise first_refusal
    offered = ", ".join(weights.path.name for weights in package.weights)
    raise PackageError(
        f"the package {package.description.name} has {offered}; no installed library runs "
        f"these weights (runtime: {runtime or 'any'}, format: {format or 'any'}). "
        "onnxruntime and openvino run .onnx, and torch runs .pt and .pt2: install one of these"
    )


def _candidates(
    package: ModelPackage,
    runtime: Runtime | None,
    format_: WeightsFormat | None,
    precision: Precision | None,
    *,
    gpu: bool,
) -> Iterator[_Candidate]:
    """Yield the candidates to run a package with on this machine, the best first."""
    # A requested runtime or format is used even if it runs on the CPU of a host with a GPU.
    others = (*_ON_CPU, *_ON_REQUEST) if runtime else _ON_CPU if format_ else ()
    for offered_runtime, weights_format in dict.fromkeys(
        (*_automatic_choices(package, gpu=gpu), *others)
    ):
        if runtime not in {None, offered_runtime} or format_ not in {None, weights_format}:
            continue
        weights = next((w for w in package.weights if w.format == weights_format), None)
        if weights is None or importlib.util.find_spec(_MODULES[offered_runtime][1]) is None:
            continue
        allowed = precision or (package.description.precision if gpu else "float32")
        if offered_runtime in _REDUCED_PRECISION_RUNTIMES and allowed != "float32":
            yield _Candidate(offered_runtime, weights, allowed)
        yield _Candidate(offered_runtime, weights, "float32")


def _automatic_choices(package: ModelPackage, *, gpu: bool) -> _Choices:
    """Return the runtimes and formats that use this host's GPU, or the CPU without a GPU."""
    if not gpu:
        return _ON_CPU
    usable = tuple(pair for pair in _ON_GPU if device.library_uses_gpu(_MODULES[pair[0]][1]))
    offered = {weights.format for weights in package.weights}
    if offered & {weights_format for _, weights_format in usable}:
        return usable
    device.refuse_cpu(
        f"no installed library runs {', '.join(sorted(offered))} of {package.description.name} "
        "on a GPU"
    )
    return _ON_CPU


def _load(
    candidate: _Candidate, description: ModelDescription, fallbacks: list[str], *, gpu: bool
) -> Model:
    name, library = _MODULES[candidate.runtime]
    described = msgspec.structs.replace(description, precision=candidate.precision)
    library_module: Any = importlib.import_module(name)
    with TimeLimit.from_env(candidate.weights.path, candidate.runtime).watch("been loaded"):
        loaded = library_module.load(candidate.weights, described, candidate.runtime)
    used_device = device.describe("cuda" if gpu and device.library_uses_gpu(library) else "cpu")
    loaded.engine = Engine(
        device=used_device.name,
        driver=used_device.driver,
        runtime=candidate.runtime,
        weights=candidate.weights.format,
        precision=candidate.precision,
        fallbacks=list(fallbacks),
    )
    model: Model = loaded
    return model


def _try_model(model: Model, description: ModelDescription, precision: Precision) -> str:
    """Run a model on one black tile; return why it fails, or an empty string if it works."""
    tile = np.zeros((len(description.bands), *[description.tile_size] * 2), np.uint8)
    try:
        outputs = model([tile])
    except ModelTimeoutError:
        raise
    except Exception as error:  # noqa: BLE001 (the libraries' errors have no common base)
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    numbers = [np.asarray(output) for tile_outputs in outputs for output in tile_outputs]
    finite = all(np.isfinite(output).all() for output in numbers if output.dtype.kind == "f")
    return "" if finite or precision == "float32" else f"NaN or infinity in {precision}"


def _log_model(model: Model, package: ModelPackage) -> Model:
    # The fallbacks are logged only when a model runs. Otherwise, the error gives the reason.
    for fallback in model.engine.fallbacks if model.engine else ():
        logger.warning("%s does not run on this machine: %s", package.description.name, fallback)
    engine = msgspec.json.encode(model.engine).decode()
    logger.info("the model %s runs on this machine: %s", package.description.name, engine)
    return model
