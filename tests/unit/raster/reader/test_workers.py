"""Tests of a reader's threads and files, which end with it."""

import os
import threading

import numpy as np
import pytest

from swath.raster.dataset import open_dataset
from swath.raster.reader.workers import Workers


@pytest.fixture
def dataset(make_scene):
    with open_dataset(make_scene(np.ones((1, 20, 20), "uint8"))) as opened:
        yield opened


def test_files_are_closed_and_threads_ended_at_the_end(dataset):
    with Workers(3) as workers:
        first, *others = workers.open_handles(dataset)
        file = workers.open(dataset)
        assert (
            workers.decoder_pool.submit(threading.current_thread).result().name.startswith("swath-")
        )
        assert file.read_block(0, 0, 2) in {b"II", b"MM"}
        assert first is dataset
        assert not any(other.reader.closed for other in others)

    assert len(others) == 2
    assert all(other.reader.closed for other in others)
    assert not dataset.reader.closed
    assert not [one for one in threading.enumerate() if one.name.startswith("swath-")]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file._descriptor)
