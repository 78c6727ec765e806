"""Running a model, whatever its format: one small protocol, one module for each library.

A library is imported only when its format is run, so a Lambda needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from swath.cpus import available_cpus
from swath.errors import ModelOutputError, OutOfMemoryError, PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.messages import Engine
    from swath.models.mlm import ModelDescription

Runtime = Literal["onnx", "tensorrt", "torch", "compiled", "openvino"]
"""`tensorrt` is ONNX Runtime with TensorRT inside, `compiled` is torch with its compiler."""
Outputs = tuple["NDArray[Any]", ...]
"""Of one tile: the model's outputs in their order, without the batch axis."""

_OUT_OF_MEMORY = re.compile(
    # CUDA's libraries run out of memory where they make their handles and workspaces, and say so
    # by the names of these states.
    r"out of memory|(failed to|can't|cannot) allocate|bad_?alloc|not enough memory"
    r"|ALLOC(ATION)?_FAILED|CUBLAS_STATUS_NOT_INITIALIZED|CUDNN_STATUS_NOT_INITIALIZED",
    re.IGNORECASE,
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

    @property
    def engine(self) -> Engine | None:
        """What computes its answers; None of a model that no package was loaded for."""

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
        self.engine: Engine | None = None
        """What computes its answers; set where a package is loaded."""

    def shrink(self) -> bool:
        """Halve the batches; False where they cannot be smaller."""
        if self.fixed or self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def filled(self, tiles: int) -> int:
        """How large the batch must be in which the model is shown some tiles."""
        return self.batch_size if self.fixed else tiles


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
                f"mlm.json says {list(expected)}: correct the one that is wrong"
            )
    return batch if isinstance(batch, int) else None


def not_runnable(path: Path, error: Exception) -> PackageError:
    """Return the refusal of weights that a library does not load: its reason and the remedy."""
    reason = " ".join(_LIBRARYS_START.sub("", str(error)).split())[:_MAX_REASON_LETTERS]
    remedy = (
        "export the network with the format's own operators only (a newer opset may have them)"
        if _NO_OPERATOR.search(reason)
        else "copy the file again, or export the network anew"
    )
    return PackageError(f"{path} cannot be run: {reason.rstrip('.')}; {remedy}")


# ONNX Runtime repeats the path and numbers its errors; what follows says what is wrong.
_LIBRARYS_START = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?")
_NO_OPERATOR = re.compile(
    r"not a registered function/op|No Op registered|Unknown builtin op|Unknown custom op"
    r"|OpConversionFailure"
)
_MAX_REASON_LETTERS = 500
"""Torch's messages about a graph can be as long as the graph."""


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
            "fewer bits inside, use `swath model optimize` or the package's `precision`"
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
