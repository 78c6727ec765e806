import threading

import numpy as np
import pytest
import torch

from swath.labels.objects import Objects
from swath.models.scaling import ZScore
from swath.training.data.crop import Crop
from swath.training.loader import BatchLoader

SIZE = 8


def crop(epoch, index):
    """Return a crop whose pixels are numbered by epoch and index. Its first row is not valid."""
    pixels = np.full((2, SIZE, SIZE), 100 * epoch + index, np.uint16)
    pixels[1] += 1000
    valid = np.ones((SIZE, SIZE), bool)
    valid[0] = False
    nothing = Objects(
        boxes=np.zeros((0, 4)), classes=np.zeros(0, int), crowd=np.zeros(0, bool), outlines=None
    )
    return Crop(uri="", x=0, y=0, pixels=pixels, valid=valid, objects=nothing, labels=None)


def loader(cut=crop, *, workers=1, crops=7, batch_size=3):
    scaling = [ZScore(10, 2), ZScore(1000, 5)]
    return BatchLoader(
        get_crop=cut,
        scaling=scaling,
        fill_value=10,
        crops_per_epoch=crops,
        batch_size=batch_size,
        workers=workers,
    )


def test_batches_come_scaled_and_filled_and_the_last_is_smaller():
    batches = list(loader().iter_epoch(1))

    assert [len(batch.pixels) for batch in batches] == [3, 3, 1]
    tile = batches[1].pixels[0]
    assert tile.dtype == torch.float32
    assert tile[:, 1, 0].tolist() == pytest.approx([(103 - 10) / 2, (1103 - 1000) / 5])
    assert tile[:, 0, 0].tolist() == [(10 - 10) / 2, (10 - 1000) / 5]
    assert not batches[0].targets.valid[0, 0].any()


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_workers_and_where_it_begins_change_no_batch(workers, first):
    expected = list(loader().iter_epoch(2))[first:]

    found = list(loader(workers=workers).iter_epoch(2, first))

    assert [batch.pixels.tolist() for batch in found] == [b.pixels.tolist() for b in expected]


def test_what_a_worker_raises_reaches_the_caller():
    def damaged(epoch, index):
        if index == 4:
            raise OSError("damaged")
        return crop(epoch, index)

    batches = loader(damaged, workers=2).iter_epoch(0)
    next(batches)

    with pytest.raises(OSError, match="damaged"):
        next(batches)


def test_closing_it_ends_its_threads():
    batches = loader(workers=2, crops=1000).iter_epoch(0)
    next(batches)
    batches.close()

    assert not [t for t in threading.enumerate() if t.name.startswith("crops")]
