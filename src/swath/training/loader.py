"""Prefetch batches for a network in threads.

The content of a batch depends only on its epoch and its number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.models.runtimes.padding import pad
from swath.models.scaling import finite_range, scale_into, scaling_steps
from swath.training.networks import Targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.scaling import Scaling
    from swath.training.data.crop import Crop

_PREFETCHED_BATCHES = 2
"""Number of batches to prefetch in addition to one per thread."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of crops as network input, with its ground truth."""

    pixels: torch.Tensor
    """Scaled pixels, float32 (batch, bands, size, size)."""
    targets: Targets
    """Ground truth of the crops."""

    def to(self, device: torch.device, *, channels_last: bool) -> Batch:
        """Return the batch on a device, in the given memory format."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        pixels = self.pixels.to(device, non_blocking=True).contiguous(memory_format=layout)
        return Batch(pixels, self.targets.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLoader:
    """Loads the batches of an epoch, in order."""

    get_crop: Callable[[int, int], Crop]
    """Function that returns the crop of an epoch and an index.

    It returns the same crop for the same arguments, in any thread.
    """
    scaling: Sequence[Scaling | None]
    """Scaling of each band; None for a band that is not scaled."""
    fill_value: float
    """Value that replaces invalid pixels, before scaling."""
    crops_per_epoch: int
    """Number of crops per epoch."""
    batch_size: int
    """Number of crops per batch; the last batch of an epoch may have fewer."""
    workers: int
    """Number of threads."""
    pinned: bool = False
    """Whether batches are in pinned memory, from which copies to a GPU are faster."""

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches per epoch."""
        return -(-self.crops_per_epoch // self.batch_size)

    def iter_epoch(self, epoch: int, first: int = 0) -> Generator[Batch]:
        """Yield the batches of an epoch; closing the generator ends its threads.

        Args:
            epoch: Number of the epoch, from 0.
            first: Number of the first batch to yield, from 0.
        """
        futures: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="crops")
        try:
            for number in range(first, self.batches_per_epoch):
                futures.append(pool.submit(self._load_batch, epoch, number))
                if len(futures) >= self.workers + _PREFETCHED_BATCHES:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _load_batch(self, epoch: int, number: int) -> Batch:
        start = number * self.batch_size
        indices = range(start, min(start + self.batch_size, self.crops_per_epoch))
        crops = [self.get_crop(epoch, index) for index in indices]
        pixels = torch.from_numpy(np.stack([self._scale_crop(crop) for crop in crops]))
        return Batch(pixels.pin_memory() if self.pinned else pixels, Targets.collate(crops))

    def _scale_crop(self, crop: Crop) -> NDArray[np.float32]:
        """Return a crop's pixels, padded and scaled as the engine does it: (bands, size, size)."""
        tile: NDArray[Any] = pad(
            crop.pixels,
            crop.input_mask,
            size=crop.pixels.shape[-1],
            fill_value=self.fill_value,
            limits=finite_range(self.scaling),
        )
        scaled = np.empty(tile.shape, np.float32)
        scale_into(scaled, tile, [scaling_steps(scaling) for scaling in self.scaling])
        return scaled
