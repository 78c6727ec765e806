"""Batches for a network, made ahead of it by threads; what is in one depends on its place alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.models.runtimes.padding import pad
from swath.models.scaling import reach_of, scale_into, steps_of
from swath.training.networks import Targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.scaling import Scaling
    from swath.training.data.crop import Crop

_AHEAD = 2
"""Batches that are ready beside those that are being made."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some crops, as a network takes them."""

    pixels: torch.Tensor
    """float32 (batch, bands, size, size), scaled."""
    targets: Targets

    def to(self, device: torch.device, *, channels_last: bool) -> Batch:
        """The same on a device."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        pixels = self.pixels.to(device, non_blocking=True).contiguous(memory_format=layout)
        return Batch(pixels, self.targets.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Batches of an epoch, in their order."""

    crop: Callable[[int, int], Crop]
    """The crop of an epoch and an index: always the same one, whichever thread asks."""
    scaling: Sequence[Scaling | None]
    """Of each band."""
    fill_value: float
    crops: int
    """An epoch."""
    batch_size: int
    workers: int
    pinned: bool = False
    """Whether batches lie where a GPU can fetch them."""

    @property
    def batches(self) -> int:
        """An epoch."""
        return -(-self.crops // self.batch_size)

    def epoch(self, epoch: int, first: int = 0) -> Generator[Batch]:
        """The batches of an epoch from one on. Closing the generator ends its threads."""
        coming: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="crops")
        try:
            for number in range(first, self.batches):
                coming.append(pool.submit(self._batch, epoch, number))
                if len(coming) >= self.workers + _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, epoch: int, number: int) -> Batch:
        start = number * self.batch_size
        places = range(start, min(start + self.batch_size, self.crops))
        crops = [self.crop(epoch, place) for place in places]
        pixels = torch.from_numpy(np.stack([self._scaled(crop) for crop in crops]))
        return Batch(pixels.pin_memory() if self.pinned else pixels, Targets.collate(crops))

    def _scaled(self, crop: Crop) -> NDArray[np.float32]:
        """A crop's pixels as the engine would show them to the model."""
        tile: NDArray[Any] = pad(
            crop.pixels,
            crop.shown,
            size=crop.pixels.shape[-1],
            fill_value=self.fill_value,
            reach=reach_of(self.scaling),
        )
        scaled = np.empty(tile.shape, np.float32)
        scale_into(scaled, tile, [steps_of(scaling) for scaling in self.scaling])
        return scaled
