"""Load and run TorchScript and torch.export models in torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from swath.cpus import available_cpus
from swath.errors import ModelOutputError, PackageError
from swath.models.runtimes.base import (
    GPU_WORKERS,
    Batches,
    check_float32,
    cpu_workers,
    fixed_batch,
    memory_errors,
    not_runnable,
    per_tile,
)
from swath.models.runtimes.batch_size import best_batch_size, seconds_of
from swath.models.runtimes.device import torch_device
from swath.models.runtimes.device_input import DeviceFeed
from swath.models.runtimes.time_limit import UNLIMITED, TimeLimit
from swath.models.runtimes.torch_files import inputs_of, read_pt2, read_torchscript, runnable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.package import Weights
    from swath.models.runtimes.base import Outputs, Runtime

_PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class TorchModel(Batches):
    """Module of torch on a device."""

    def __init__(
        self,
        module: Callable[..., Any],
        description: ModelDescription,
        device: torch.device,
        *,
        batch_size: int = 1,
        fixed: bool = False,
        workers: int = 1,
        channels_last: bool = False,
        precision: str = "float32",
        limit: TimeLimit = UNLIMITED,
    ) -> None:
        super().__init__(batch_size, fixed=fixed)
        self.workers = workers
        self._module, self._device, self._limit = module, device, limit
        self._precision = _PRECISIONS[precision]
        self._batched, self._outputs = description.batched, len(description.outputs)
        self._feed = DeviceFeed(description, device, channels_last=channels_last)
        # A GPU has memory for one batch at a time. On a CPU, each thread computes a tile.
        self._turn = threading.Lock() if device.type == "cuda" else nullcontext()

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the module's outputs for each tile; nested outputs are flattened in order."""
        batch = self.filled(len(tiles))
        with memory_errors(), torch.inference_mode():
            raw = self._feed.upload(tiles, batch)
            with self._turn, self._limit.watch("answered"):
                outputs = self._to_host(self._infer(raw))
        return per_tile(outputs, tiles=len(tiles), batch=batch, batched=self._batched)

    def _infer(self, raw: torch.Tensor) -> list[torch.Tensor]:
        pixels = self._feed.scale(raw)
        reduced = self._precision is not torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=reduced):
            return list(_tensors(self._module(pixels)))[: self._outputs]

    def _to_host(self, outputs: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
        """Copy outputs to the host, as float32 or integers."""
        full = [o.float() if o.is_floating_point() else o for o in outputs]
        if self._device.type == "cuda":
            full = [_pinned(o).copy_(o, non_blocking=True) for o in full]
            torch.cuda.current_stream(self._device).synchronize()
        return [o.numpy() for o in full]


def load(weights: Weights, description: ModelDescription, way: Runtime = "torch") -> TorchModel:
    """Load TorchScript or torch.export weights, on a GPU if there is one.

    Args:
        weights: Weights in TorchScript or torch.export format.
        description: Description of the package, with the precision to compute in.
        way: Runtime. With `compiled`, torch compiles the module.

    Raises:
        PackageError: torch cannot read the file, its input has another shape or type, or it
            contains pickled objects.
        NoGpuError: This process has or expects a GPU, but cannot use it.
    """
    device = torch_device()
    on_gpu = device.type == "cuda"
    workers, threads = (GPU_WORKERS, available_cpus()) if on_gpu else cpu_workers()
    torch.set_num_threads(threads)
    # TF32 has a mantissa of 10 bits only, so its results would differ from those of a CPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    module, fixed = _read(weights, description, device)
    if not description.batched:
        fixed = 1
    answer: Callable[..., Any] = module
    channels_last = _takes_channels_last(module, description, device, fixed or 1)
    if way == "compiled":
        # The module is compiled for one shape, so the last batch is padded.
        fixed = fixed or (description.batch_size if on_gpu else 1)
        answer = torch.compile(module, dynamic=False)
    model = TorchModel(
        answer,
        description,
        device,
        limit=TimeLimit.of(weights.path, way),
        # Batches do not speed up a CPU. With one tile per batch, a tile's result does not depend
        # on other tiles.
        batch_size=fixed or 1,
        fixed=fixed is not None,
        workers=workers,
        channels_last=channels_last,
        precision=description.precision,
    )
    if on_gpu and fixed is None:
        model.batch_size = best_batch_size(seconds_of(model, description), description.batch_size)
    return model


def _tensors(answer: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a module's nested output."""
    if isinstance(answer, torch.Tensor):
        yield answer
    elif isinstance(answer, dict):
        yield from _tensors(list(answer.values()))
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from _tensors(part)
    else:
        raise ModelOutputError(f"the model returned a {type(answer).__name__}, which is no tensor")


def _pinned(like: torch.Tensor) -> torch.Tensor:
    """Return an empty tensor in pinned host memory, which the device can copy to asynchronously."""
    return torch.empty_like(like, device="cpu", pin_memory=True)


def _takes_channels_last(
    module: torch.nn.Module, description: ModelDescription, device: torch.device, batch: int
) -> bool:
    """Convert a module to the channels-last layout if its outputs stay the same.

    Convolutions are up to twice as fast if the bands of a pixel are adjacent in memory. A graph
    that was exported with views or strides of the other layout may raise or give other outputs.

    Returns:
        Whether the module has the channels-last layout.
    """
    shape = (batch, len(description.bands), description.tile_size, description.tile_size)
    tiles = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        try:
            plain = list(_tensors(module(tiles)))
            _turn(module, torch.channels_last)
            turned = list(_tensors(module(tiles.to(memory_format=torch.channels_last))))
            alike = [_alike(a, b) for a, b in zip(plain, turned, strict=True)]
        except Exception:  # noqa: BLE001 (if the model itself is broken, the first tile raises)
            alike = [False]
    if not all(alike):
        _turn(module, torch.contiguous_format)
    return all(alike)


def _turn(module: torch.nn.Module, layout: torch.memory_format) -> None:
    untyped: Any = module.to  # torch's stubs lack memory layouts
    untyped(memory_format=layout)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two outputs differ by rounding only."""
    if one.shape != other.shape:
        return False
    one, other = one.double(), other.double()
    error = 1e-3 * one.abs().max().item()
    alike: bool = torch.allclose(one, other, rtol=1e-3, atol=error, equal_nan=True)
    return alike


def _read(
    weights: Weights, description: ModelDescription, device: torch.device
) -> tuple[torch.nn.Module, int | None]:
    """Return the module, and its batch size if that is fixed."""
    try:
        if weights.format == "torchscript":
            return read_torchscript(weights.path, device), None
        program = read_pt2(weights.path)
        inputs = inputs_of(program)
        module = runnable(program, device)
    except PackageError:
        raise
    except Exception as error:
        # torch's errors have no common base but Exception.
        raise not_runnable(weights.path, error) from error
    fixed = fixed_batch(weights.path, [(name, shape) for name, shape, _ in inputs], description)
    check_float32(weights.path, inputs[0][2])
    return module, fixed
