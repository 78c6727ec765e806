"""Define the protocol of a loaded model, and what the modules of all libraries share.

A library is imported only when it runs a model, so a Lambda function needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from swath.errors import ModelOutputError, OutOfMemoryError, PackageError
from swath.resource_limits import available_cpus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.messages import Engine
    from swath.models.mlm import ModelDescription

Runtime = Literal["onnx", "tensorrt", "torch", "compiled", "openvino"]
"""Library that runs a model: `tensorrt` is ONNX Runtime with TensorRT, `compiled` is torch with its
compiler."""
Outputs = tuple["NDArray[Any]", ...]
"""Outputs of one tile, in the model's order, without the batch axis."""

_OUT_OF_MEMORY = re.compile(
    # CUDA's libraries report these states when they run out of memory while they create handles
    # and workspaces.
    r"out of memory|(failed to|can't|cannot) allocate|bad_?alloc|not enough memory"
    r"|ALLOC(ATION)?_FAILED|CUBLAS_STATUS_NOT_INITIALIZED|CUDNN_STATUS_NOT_INITIALIZED",
    re.IGNORECASE,
)
_MAX_CPU_WORKERS = 8
GPU_WORKERS = 3
"""Number of threads that call a model on a GPU: one batch is computed, one is being uploaded, and
the outputs of one are being decoded."""


class Model(Protocol):
    """Loaded model, ready to run."""

    @property
    def batch_size(self) -> int:
        """Maximum number of tiles per call; `shrink` lowers it."""

    @property
    def workers(self) -> int:
        """Best number of threads that call the model concurrently.

        On a CPU, it is the number of tiles that are computed in parallel. On a GPU, it is a few
        more, so that the GPU does not wait for the host.
        """

    @property
    def engine(self) -> Engine | None:
        """Device, library and precision that compute the outputs; None without a package."""

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's outputs for each tile.

        Args:
            tiles: 1 to `batch_size` tiles, each (bands, size, size) in the scene's numbers. They
                are padded and filled, and have any dtype and memory layout. The model scales them.

        Raises:
            OutOfMemoryError: The batch does not fit into memory; a smaller one may fit.
        """

    def shrink(self) -> bool:
        """Halve the batch size; return False if it cannot be smaller."""


class BatchedModel:
    """Batch size of a model; base class of the models of all libraries."""

    def __init__(self, batch_size: int, *, static_batch: bool = False) -> None:
        self.batch_size = batch_size
        self.has_static_batch = static_batch
        """Whether each batch must have exactly `batch_size` tiles."""
        self.engine: Engine | None = None
        """Device, library and precision that compute the outputs; set when a package is loaded."""

    def shrink(self) -> bool:
        """Halve the batch size; return False if it cannot be smaller."""
        if self.has_static_batch or self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def padded_size(self, tiles: int) -> int:
        """Return the size of the batch for a number of tiles, with padding if the size is fixed."""
        return self.batch_size if self.has_static_batch else tiles


def cpu_workers() -> tuple[int, int]:
    """Return the number of tiles that a CPU computes in parallel, and the threads per tile.

    One thread per tile is fastest for a scene, since no thread waits for another within a layer.
    But each tile in progress needs memory, so the number of tiles is at most 8.
    """
    cpus = available_cpus()
    workers = min(cpus, _MAX_CPU_WORKERS)
    return workers, cpus // workers


def static_batch_size(
    path: Path, inputs: Sequence[tuple[str, Sequence[Any]]], description: ModelDescription
) -> int | None:
    """Check a model's input, and return its batch size if that is fixed, else None.

    Args:
        path: Path of the weights, for messages.
        inputs: Name and shape of each input. A value in a shape that is not an integer stands
            for any length.
        description: Description of the package.

    Raises:
        PackageError: The model does not accept the tiles that the package describes.
    """
    expected = (len(description.bands), description.tile_size, description.tile_size)
    if len(inputs) != 1 or len(inputs[0][1]) != 1 + len(expected):
        raise PackageError(
            f"{path} takes inputs {[(name, list(shape)) for name, shape in inputs]}; "
            "swath feeds one input, (batch, bands, height, width)"
        )
    batch, *shape = inputs[0][1]
    for actual, required in zip(shape, expected, strict=True):
        if isinstance(actual, int) and actual != required:
            raise PackageError(
                f"{path} takes tiles of {shape} (bands, height, width), but mlm.json describes "
                f"{list(expected)}: correct mlm.json, or export the network again"
            )
    return batch if isinstance(batch, int) else None


def weights_load_error(path: Path, error: Exception) -> PackageError:
    """Return the error for weights that a library cannot load, with the reason and the remedy."""
    reason = " ".join(_LIBRARY_PREFIX.sub("", str(error)).split())[:_MAX_REASON_CHARACTERS]
    remedy = (
        "export the network with the format's own operators only, perhaps of a newer opset"
        if _MISSING_OPERATOR.search(reason)
        else "copy the file again, or export the network again"
    )
    return PackageError(f"{path} cannot be run: {reason.rstrip('.')}; {remedy}")


# ONNX Runtime's messages start with an error number and the path. The reason follows them.
_LIBRARY_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?")
_MISSING_OPERATOR = re.compile(
    r"not a registered function/op|No Op registered|Unknown builtin op|Unknown custom op"
    r"|OpConversionFailure"
)
_MAX_REASON_CHARACTERS = 500
"""Maximum length of a reason in characters. torch's messages about a graph can be as long as the
graph."""


def check_float32(path: Path, dtype: str) -> None:
    """Raise an error unless a model's input is float32.

    Args:
        path: Path of the weights, for messages.
        dtype: Data type of the input, by the name that any of the libraries gives it.

    Raises:
        PackageError: The input is not float32.
    """
    if dtype not in {"tensor(float)", "f32", "torch.float32"}:
        raise PackageError(
            f"{path} takes {dtype} tiles; swath feeds float32: export it with a float32 input. To "
            "compute in lower precision, use `swath model optimize` or the package's `precision`"
        )


def split_batch(
    outputs: Sequence[NDArray[Any]], *, tiles: int, batch: int, batched: bool
) -> list[Outputs]:
    """Split a batch's outputs into the outputs of each tile, without the padding of the batch.

    Args:
        outputs: Outputs, each (batch, …), or without the batch axis if not `batched`.
        tiles: Number of tiles.
        batch: Number of tiles in the batch, padding included.
        batched: Whether the outputs have a batch axis.

    Raises:
        ModelOutputError: The length of an output's first axis is not `batch`.
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
def translate_oom() -> Iterator[None]:
    """Turn a library's out-of-memory error inside the `with` block into `OutOfMemoryError`."""
    try:
        yield
    except Exception as error:
        # The libraries have different error classes for this, or none, so the message decides.
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            raise OutOfMemoryError(str(error) or "out of memory") from error
        raise
