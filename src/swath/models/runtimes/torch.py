"""Load and run TorchScript and torch.export models in torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from swath.errors import ModelOutputError, PackageError
from swath.models.runtimes.base import (
    GPU_WORKERS,
    BatchedModel,
    check_float32,
    cpu_workers,
    split_batch,
    static_batch_size,
    translate_oom,
    weights_load_error,
)
from swath.models.runtimes.batch_size import best_batch_size, make_batch_timer
from swath.models.runtimes.device import torch_device
from swath.models.runtimes.device_input import DeviceInput
from swath.models.runtimes.time_limit import UNLIMITED, TimeLimit
from swath.models.runtimes.torch_files import program_inputs, read_pt2, read_torchscript, to_module
from swath.resource_limits import available_cpus

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


class TorchModel(BatchedModel):
    """Module of torch on a device."""

    def __init__(
        self,
        module: Callable[..., Any],
        description: ModelDescription,
        device: torch.device,
        *,
        batch_size: int = 1,
        static_batch: bool = False,
        workers: int = 1,
        channels_last: bool = False,
        precision: str = "float32",
        limit: TimeLimit = UNLIMITED,
    ) -> None:
        super().__init__(batch_size, static_batch=static_batch)
        self.workers = workers
        self._module, self._device, self._limit = module, device, limit
        self._precision = _PRECISIONS[precision]
        self._batched, self._outputs = description.batched, len(description.outputs)
        self._device_input = DeviceInput(description, device, channels_last=channels_last)
        # A GPU has memory for one batch at a time. On a CPU, each thread computes a tile.
        self._gpu_lock = threading.Lock() if device.type == "cuda" else nullcontext()

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the module's outputs for each tile; nested outputs are flattened in order."""
        batch = self.padded_size(len(tiles))
        with translate_oom(), torch.inference_mode():
            raw = self._device_input.upload(tiles, batch)
            with self._gpu_lock, self._limit.watch("answered"):
                outputs = self._to_host(self._infer(raw))
        return split_batch(outputs, tiles=len(tiles), batch=batch, batched=self._batched)

    def _infer(self, raw: torch.Tensor) -> list[torch.Tensor]:
        pixels = self._device_input.scale(raw)
        reduced = self._precision is not torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=reduced):
            return list(_flatten_tensors(self._module(pixels)))[: self._outputs]

    def _to_host(self, outputs: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
        """Copy outputs to the host, as float32 or integers."""
        full = [o.float() if o.is_floating_point() else o for o in outputs]
        if self._device.type == "cuda":
            full = [_pinned_like(o).copy_(o, non_blocking=True) for o in full]
            torch.cuda.current_stream(self._device).synchronize()
        return [o.numpy() for o in full]


def load(weights: Weights, description: ModelDescription, runtime: Runtime = "torch") -> TorchModel:
    """Load TorchScript or torch.export weights, on a GPU if there is one.

    Args:
        weights: Weights in TorchScript or torch.export format.
        description: Description of the package, with the precision to compute in.
        runtime: Runtime. With `compiled`, torch compiles the module.

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
    module, static_size = _read_module(weights, description, device)
    if not description.batched:
        static_size = 1
    network: Callable[..., Any] = module
    channels_last = _takes_channels_last(module, description, device, static_size or 1)
    if runtime == "compiled":
        # The module is compiled for one shape, so the last batch is padded.
        static_size = static_size or (description.batch_size if on_gpu else 1)
        network = torch.compile(module, dynamic=False)
    model = TorchModel(
        network,
        description,
        device,
        limit=TimeLimit.from_env(weights.path, runtime),
        # Batches do not speed up a CPU. With one tile per batch, a tile's result does not depend
        # on other tiles.
        batch_size=static_size or 1,
        static_batch=static_size is not None,
        workers=workers,
        channels_last=channels_last,
        precision=description.precision,
    )
    if on_gpu and static_size is None:
        model.batch_size = best_batch_size(
            make_batch_timer(model, description), description.batch_size
        )
    return model


def _flatten_tensors(output: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a module's nested output."""
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, dict):
        yield from _flatten_tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for item in output:
            yield from _flatten_tensors(item)
    else:
        raise ModelOutputError(
            f"the model returned a {type(output).__name__}, which is not a tensor"
        )


def _pinned_like(like: torch.Tensor) -> torch.Tensor:
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
            original = list(_flatten_tensors(module(tiles)))
            _set_memory_format(module, torch.channels_last)
            converted = list(_flatten_tensors(module(tiles.to(memory_format=torch.channels_last))))
            agree = [_nearly_equal(a, b) for a, b in zip(original, converted, strict=True)]
        except Exception:  # noqa: BLE001 (if the model itself is broken, the first tile raises)
            agree = [False]
    if not all(agree):
        _set_memory_format(module, torch.contiguous_format)
    return all(agree)


def _set_memory_format(module: torch.nn.Module, layout: torch.memory_format) -> None:
    untyped: Any = module.to  # torch's stubs lack memory layouts
    untyped(memory_format=layout)


def _nearly_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two outputs differ by rounding only."""
    if one.shape != other.shape:
        return False
    one, other = one.double(), other.double()
    error = 1e-3 * one.abs().max().item()
    equal: bool = torch.allclose(one, other, rtol=1e-3, atol=error, equal_nan=True)
    return equal


def _read_module(
    weights: Weights, description: ModelDescription, device: torch.device
) -> tuple[torch.nn.Module, int | None]:
    """Return the module, and its batch size if that is fixed."""
    try:
        if weights.format == "torchscript":
            return read_torchscript(weights.path, device), None
        program = read_pt2(weights.path)
        inputs = program_inputs(program)
        module = to_module(program, device)
    except PackageError:
        raise
    except Exception as error:
        # torch's errors have no common base but Exception.
        raise weights_load_error(weights.path, error) from error
    static_size = static_batch_size(
        weights.path, [(name, shape) for name, shape, _ in inputs], description
    )
    check_float32(weights.path, inputs[0][2])
    return module, static_size
