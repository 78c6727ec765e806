"""Tiles for a model that computes where torch does: sent as they are, and scaled there.

A tile of a scene has one or two bytes a number, and four once it is scaled, so a quarter of the
bytes travel, and the host has nothing to compute. The device may be the CPU: the same code, tested
where there is no GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.models.runtimes.padding import bands_last
from swath.models.scaling import steps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.scaling import Step

Operation = tuple[str, torch.Tensor]

# What torch converts to float32 on every device; other numbers are converted before they travel.
_DTYPES = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.int8): torch.int8,
    np.dtype(np.uint16): torch.uint16,
    np.dtype(np.int16): torch.int16,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.float16): torch.float16,
    np.dtype(np.float32): torch.float32,
}


class DeviceFeed:
    """Brings tiles to a device, and scales them there."""

    def __init__(
        self, description: ModelDescription, device: torch.device, *, channels_last: bool
    ) -> None:
        self._device = device
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._size = description.tile_size
        self._local = threading.local()
        self._scaling = self._operations([steps_of(s) for s in description.scaling])

    def upload(self, tiles: Sequence[NDArray[Any]], batch: int) -> torch.Tensor:
        """Tiles on the device, as they are.

        On a GPU they are copied beside what other threads have it compute.

        Args:
            tiles: (bands, size, size) each, in the scene's numbers.
            batch: how many the model is given; past the last tile it gets zeros.

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
        """Uploaded tiles as the model takes them, float32 (batch, bands, size, size)."""
        pixels = raw.to(torch.float32, memory_format=self._format, copy=True)
        for bands, operations in self._scaling:
            target = pixels[:, bands]
            for name, values in operations:
                getattr(torch, name)(target, values, out=target)
        return pixels

    def _stage(self, tiles: Sequence[NDArray[Any]], batch: int) -> torch.Tensor:
        """Tiles in one piece of memory, on a GPU's host such that the device can fetch it."""
        found = np.result_type(*tiles)
        dtype = _DTYPES.get(found, torch.float32)
        bands, rows, cols = tiles[0].shape
        pin = self._device.type == "cuda"
        if bands_last(tiles[0]):
            stack = torch.empty((batch, rows, cols, bands), dtype=dtype, pin_memory=pin)
            stack = stack.permute(0, 3, 1, 2)
        else:
            stack = torch.empty((batch, bands, rows, cols), dtype=dtype, pin_memory=pin)
        numbers = stack.numpy()
        for place, tile in zip(numbers, tiles, strict=False):
            place[...] = tile
        numbers[len(tiles) :] = 0
        return stack

    def _operations(self, steps: Sequence[Sequence[Step]]) -> list[tuple[slice, list[Operation]]]:
        """Runs of bands that go through the same operations, with each band's operand."""
        runs: list[tuple[slice, list[Operation]]] = []
        start = 0
        for band in range(1, len(steps) + 1):
            if band == len(steps) or _names(steps[band]) != _names(steps[start]):
                run = [
                    (name, self._operand([steps[i][place][1] for i in range(start, band)]))
                    for place, name in enumerate(_names(steps[start]))
                ]
                runs.append((slice(start, band), run))
                start = band
        return runs

    def _operand(self, values: Sequence[float]) -> torch.Tensor:
        """A number for each band, in a tensor: a GPU divides by plain numbers inexactly.

        It is as wide as a tile and lies in memory as the tile does, since a broadcast over the
        innermost axis is several times slower.
        """
        operand = torch.tensor(values, dtype=torch.float32, device=self._device).view(1, -1, 1, 1)
        if len(set(values)) == 1:
            return operand[0, 0, 0, 0]
        return operand.expand(1, -1, 1, self._size).contiguous(memory_format=self._format)

    def _stream(self) -> torch.cuda.Stream:
        """This thread's way to the device."""
        stream: torch.cuda.Stream | None = getattr(self._local, "stream", None)
        if stream is None:
            cuda: Any = torch.cuda  # whose streams have no types
            stream = self._local.stream = cuda.Stream(self._device)
        return stream


def _names(steps: Sequence[Step]) -> list[str]:
    return [name for name, _ in steps]
