"""Upload tiles unscaled to torch's device, and scale them there.

A tile has 1 or 2 bytes per value in the scene's type and 4 bytes per value once scaled. So the
upload is a quarter or half as large, and the host computes nothing. The device may be the CPU,
which lets the same code be tested without a GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.models.runtimes.padding import bands_last
from swath.models.scaling import scaling_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.scaling import Step

Operation = tuple[str, torch.Tensor]

# Types that torch converts to float32 on every device. Other types are converted on the host.
_DTYPES = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.int8): torch.int8,
    np.dtype(np.uint16): torch.uint16,
    np.dtype(np.int16): torch.int16,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.float16): torch.float16,
    np.dtype(np.float32): torch.float32,
}


class DeviceInput:
    """Uploads tiles to a device, and scales them there."""

    def __init__(
        self, description: ModelDescription, device: torch.device, *, channels_last: bool
    ) -> None:
        self._device = device
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._size = description.tile_size
        self._local = threading.local()
        self._scaling = self._operations([scaling_steps(s) for s in description.scaling])

    def upload(self, tiles: Sequence[NDArray[Any]], batch: int) -> torch.Tensor:
        """Copy tiles to the device, unscaled.

        A GPU copies them in a stream of their own, while it computes the batches of other threads.

        Args:
            tiles: Tiles, each (bands, size, size), in the scene's numbers.
            batch: Number of tiles in the batch; zeros follow the last tile.

        Returns:
            (batch, bands, size, size) in the scene's numbers.
        """
        staged = self._stage(tiles, batch)
        if self._device.type != "cuda":
            return staged
        stream = self._stream()
        with torch.cuda.stream(stream):
            raw = staged.to(self._device, non_blocking=True)
        stream.synchronize()
        return raw

    def scale(self, raw: torch.Tensor) -> torch.Tensor:
        """Return uploaded tiles scaled for the model, float32 (batch, bands, size, size)."""
        pixels = raw.to(torch.float32, memory_format=self._format, copy=True)
        for bands, operations in self._scaling:
            target = pixels[:, bands]
            for name, values in operations:
                getattr(torch, name)(target, values, out=target)
        return pixels

    def _stage(self, tiles: Sequence[NDArray[Any]], batch: int) -> torch.Tensor:
        """Copy tiles into one array on the host, in pinned memory if the device is a GPU."""
        tile_dtype = np.result_type(*tiles)
        dtype = _DTYPES.get(tile_dtype, torch.float32)
        bands, rows, cols = tiles[0].shape
        pin = self._device.type == "cuda"
        if bands_last(tiles[0]):
            stack = torch.empty((batch, rows, cols, bands), dtype=dtype, pin_memory=pin)
            stack = stack.permute(0, 3, 1, 2)
        else:
            stack = torch.empty((batch, bands, rows, cols), dtype=dtype, pin_memory=pin)
        numbers = stack.numpy()
        for slot, tile in zip(numbers, tiles, strict=False):
            slot[...] = tile
        numbers[len(tiles) :] = 0
        return stack

    def _operations(self, steps: Sequence[Sequence[Step]]) -> list[tuple[slice, list[Operation]]]:
        """Group adjacent bands with the same operations, and return their operands."""
        groups: list[tuple[slice, list[Operation]]] = []
        start = 0
        for band in range(1, len(steps) + 1):
            if band == len(steps) or _step_names(steps[band]) != _step_names(steps[start]):
                operations = [
                    (name, self._operand([steps[i][position][1] for i in range(start, band)]))
                    for position, name in enumerate(_step_names(steps[start]))
                ]
                groups.append((slice(start, band), operations))
                start = band
        return groups

    def _operand(self, values: Sequence[float]) -> torch.Tensor:
        """Return an operand for some bands as a tensor, (1, bands, 1, size) or a scalar.

        It is a tensor, since a GPU divides by Python numbers inexactly. It has the width and the
        memory layout of a tile, since a broadcast over the innermost axis is several times slower.
        """
        operand = torch.tensor(values, dtype=torch.float32, device=self._device).view(1, -1, 1, 1)
        if len(set(values)) == 1:
            return operand[0, 0, 0, 0]
        return operand.expand(1, -1, 1, self._size).contiguous(memory_format=self._format)

    def _stream(self) -> torch.cuda.Stream:
        """Return this thread's CUDA stream for uploads."""
        stream: torch.cuda.Stream | None = getattr(self._local, "stream", None)
        if stream is None:
            cuda: Any = torch.cuda  # its streams are not typed
            stream = self._local.stream = cuda.Stream(self._device)
        return stream


def _step_names(steps: Sequence[Step]) -> list[str]:
    return [name for name, _ in steps]
