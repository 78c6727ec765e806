"""Running a model, whatever its format: one small protocol, one module for each library.

A library is imported only when its format is run, so a Lambda needs no torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Literal, Protocol

from swath.errors import PackageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath.mlm import WeightsFormat
    from swath.package import ModelPackage, Weights

Runtime = Literal["onnx", "torch"]
Outputs = tuple["NDArray[Any]", ...]
"""Of one tile: the model's outputs in their order, without the batch axis."""

# In the order of preference: ONNX Runtime is the fastest of these on a CPU.
_RUNTIMES: dict[WeightsFormat, tuple[Runtime, str]] = {
    "onnx": ("onnx", "onnxruntime"),
    "torchscript": ("torch", "torch"),
    "pt2": ("torch", "torch"),
}


class Model(Protocol):
    """A model that is loaded and ready."""

    @property
    def batch_size(self) -> int:
        """How many tiles it takes at once, no more and no fewer."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's output for float32 (`batch_size`, bands, rows, cols)."""


def load_model(
    package: ModelPackage,
    *,
    runtime: Runtime | None = None,
    format: WeightsFormat | None = None,  # noqa: A002
) -> Model:
    """Load a package's weights: those that run fastest here, unless told otherwise.

    Args:
        package: the model package.
        runtime: run it with this library only.
        format: run the weights of this format only.

    Raises:
        PackageError: no weights of the package can be run here.
    """
    for kind, (library, module) in _RUNTIMES.items():
        if runtime not in {None, library} or format not in {None, kind}:
            continue
        weights = next((w for w in package.weights if w.format == kind), None)
        if weights is not None and importlib.util.find_spec(module) is not None:
            return _load(library, weights, package)
    offered = ", ".join(weights.path.name for weights in package.weights)
    raise PackageError(
        f"the package {package.description.name} has {offered}; none can be run here as asked "
        f"(runtime {runtime or 'any'}, format {format or 'any'}). "
        "onnxruntime runs .onnx, torch runs .pt and .pt2: install the one that fits"
    )


def available_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load(library: Runtime, weights: Weights, package: ModelPackage) -> Model:
    module = importlib.import_module(f"swath.runtime_{library}")
    model: Model = module.load(weights, package.description)
    return model
