"""Running a model, whatever its format: one small protocol, one module for each library.

A library is imported only when its format is run, so a Lambda needs no torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from swath.errors import ModelOutputError, OutOfMemoryError, PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.mlm import ModelDescription, WeightsFormat
    from swath.package import ModelPackage, Weights

Runtime = Literal["onnx", "tensorrt", "torch", "compiled", "openvino"]
"""`tensorrt` is ONNX Runtime with TensorRT inside, `compiled` is torch with its compiler."""
Outputs = tuple["NDArray[Any]", ...]
"""Of one tile: the model's outputs in their order, without the batch axis."""

_MODULES: dict[Runtime, tuple[str, str]] = {
    "onnx": ("swath.runtimes.onnx", "onnxruntime"),
    "tensorrt": ("swath.runtimes.onnx", "onnxruntime"),
    "torch": ("swath.runtimes.torch", "torch"),
    "compiled": ("swath.runtimes.torch", "torch"),
    "openvino": ("swath.runtimes.openvino", "openvino"),
}
# On a CPU they take the same time, within a few per cent; ONNX Runtime loads fastest.
_ON_CPU: tuple[tuple[Runtime, WeightsFormat], ...] = (
    ("onnx", "onnx"),
    ("torch", "torchscript"),
    ("torch", "pt2"),
    ("openvino", "onnx"),
)
# torch can compute in the precision that the package allows; ONNX Runtime in that of the weights.
_ON_GPU: tuple[tuple[Runtime, WeightsFormat], ...] = (
    ("torch", "pt2"),
    ("torch", "torchscript"),
    ("onnx", "onnx"),
)
# A compiler takes its time, and its rounding differs: it runs when it is asked for.
_ON_REQUEST: tuple[tuple[Runtime, WeightsFormat], ...] = (
    ("tensorrt", "onnx"),
    ("compiled", "pt2"),
)
# What NVIDIA's driver shows of itself on Linux, and under Windows' Linux.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_OUT_OF_MEMORY = re.compile(
    r"out of memory|(failed to|can't|cannot) allocate|bad_?alloc|not enough memory", re.IGNORECASE
)
_MOST_WORKERS = 8
GPU_WORKERS = 3
"""One batch on the device, one on its way there, and one whose answers are being read."""


class Model(Protocol):
    """A model that is loaded and ready."""

    @property
    def batch_size(self) -> int:
        """How many tiles it takes at once, at most; smaller after `shrink`."""

    @property
    def workers(self) -> int:
        """From how many threads it is best called at once.

        On a CPU, as many as compute side by side. Where another device computes, a few more than
        that, so that it never waits for the host.
        """

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """What it says of each tile.

        Args:
            tiles: 1 to `batch_size`, each (bands, size, size) in the scene's numbers, of any dtype
                and memory layout, padded and filled; they are scaled here, on the device.

        Raises:
            OutOfMemoryError: fewer tiles may fit.
        """

    def shrink(self) -> bool:
        """Halve the batches; False where they cannot be smaller."""


class Batches:
    """The size of a model's batches."""

    def __init__(self, batch_size: int, *, fixed: bool = False) -> None:
        self.batch_size = batch_size
        self.fixed = fixed
        """Whether the model takes so many tiles, no more and no fewer."""

    def shrink(self) -> bool:
        """Halve the batches; False where they cannot be smaller."""
        if self.fixed or self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def filled(self, tiles: int) -> int:
        """How large the batch must be in which the model is shown some tiles."""
        return self.batch_size if self.fixed else tiles


def load_model(
    package: ModelPackage,
    *,
    runtime: Runtime | None = None,
    format: WeightsFormat | None = None,  # noqa: A002
) -> Model:
    """Load a package's weights: those that run fastest here, unless told otherwise.

    Args:
        package: the model package.
        runtime: run it in this way only.
        format: run the weights of this format only.

    Raises:
        PackageError: no weights of the package can be run here.
    """
    for way, kind in _ways(package, runtime):
        if runtime not in {None, way} or format not in {None, kind}:
            continue
        weights = next((w for w in package.weights if w.format == kind), None)
        if weights is not None and importlib.util.find_spec(_MODULES[way][1]) is not None:
            return _load(way, weights, package)
    offered = ", ".join(weights.path.name for weights in package.weights)
    raise PackageError(
        f"the package {package.description.name} has {offered}; none can be run here as asked "
        f"(runtime {runtime or 'any'}, format {format or 'any'}). "
        "onnxruntime and openvino run .onnx, torch runs .pt and .pt2: install the one that fits"
    )


def available_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_workers() -> tuple[int, int]:
    """How many tiles a CPU computes side by side, and how many threads each of them has.

    One thread a tile is the fastest way through a scene, since no thread waits for another within a
    layer; but each tile that is under way needs memory, so there are eight of them at most.
    """
    cpus = available_cpus()
    workers = min(cpus, _MOST_WORKERS)
    return workers, cpus // workers


def fixed_batch(
    path: Path, inputs: Sequence[tuple[str, Sequence[Any]]], description: ModelDescription
) -> int | None:
    """The batch size that a model insists on, if it does.

    Args:
        path: of the weights.
        inputs: names and shapes; what is no integer in a shape is open.
        description: what the package says.

    Raises:
        PackageError: it does not take the tiles that the package describes.
    """
    expected = (len(description.bands), description.tile_size, description.tile_size)
    if len(inputs) != 1 or len(inputs[0][1]) != 1 + len(expected):
        raise PackageError(
            f"{path} takes inputs {[(name, list(shape)) for name, shape in inputs]}; "
            "swath feeds one, (batch, bands, height, width)"
        )
    batch, *shape = inputs[0][1]
    for given, wanted in zip(shape, expected, strict=True):
        if isinstance(given, int) and given != wanted:
            raise PackageError(
                f"{path} takes tiles of {shape} (bands, height, width); "
                f"mlm.json says {list(expected)}"
            )
    return batch if isinstance(batch, int) else None


def check_float32(path: Path, dtype: str) -> None:
    """Refuse a model that takes other numbers than it is fed.

    Args:
        path: of the weights.
        dtype: what they take, in the words of any library.

    Raises:
        PackageError: that is not float32.
    """
    if dtype not in {"tensor(float)", "f32", "torch.float32"}:
        raise PackageError(
            f"{path} takes {dtype} tiles; swath feeds float32: export it with a float32 input. For "
            "fewer bits inside, use `swath model optimise` or the package's `precision`"
        )


def per_tile(
    outputs: Sequence[NDArray[Any]], *, tiles: int, batch: int, batched: bool
) -> list[Outputs]:
    """A batch's outputs, tile by tile; what fills the batch up is left out.

    Args:
        outputs: each (batch, …), or without that axis where not `batched`.
        tiles: how many tiles were shown.
        batch: how many the model was given.
        batched: whether the outputs have a batch axis.

    Raises:
        ModelOutputError: there are not as many results as tiles were given.
    """
    if not batched:
        return [tuple(outputs)]
    for output in outputs:
        if not output.ndim or len(output) != batch:
            raise ModelOutputError(
                f"the model returned an output of shape {output.shape} for a batch of {batch} tiles"
            )
    return [tuple(output[tile] for output in outputs) for tile in range(tiles)]


@contextmanager
def memory_errors() -> Iterator[None]:
    """Within, a library's way of saying that memory ran out becomes swath's."""
    try:
        yield
    except Exception as error:
        # The libraries have classes of their own for it, or none; what they all have is a message.
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            raise OutOfMemoryError(str(error) or "out of memory") from error
        raise


def _ways(package: ModelPackage, wanted: Runtime | None) -> list[tuple[Runtime, WeightsFormat]]:
    """The ways to run a package, the best first."""
    gpu = _ON_GPU if _on_gpu(package) else ()
    return [*gpu, *_ON_CPU, *(_ON_REQUEST if wanted else ())]


def _on_gpu(package: ModelPackage) -> bool:
    """Whether torch would run one of the package's files on a GPU; importing it to ask is slow."""
    offered = any(weights.format != "onnx" for weights in package.weights)
    if not offered or not any(device.exists() for device in _GPU_DEVICES):
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    return bool(importlib.import_module("torch").cuda.is_available())


def _load(way: Runtime, weights: Weights, package: ModelPackage) -> Model:
    module = importlib.import_module(_MODULES[way][0])
    model: Model = module.load(weights, package.description, way)
    return model
