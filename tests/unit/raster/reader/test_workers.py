"""Tests of a reader's threads and files, which end with it."""

import os
import threading

import numpy as np
import pytest

from swath.errors import SceneError
from swath.raster.dataset import open_dataset
from swath.raster.reader.memory_check import MemoryNeed
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


def test_the_pool_has_the_threads_that_all_files_leave_memory_for(dataset, monkeypatch):
    monkeypatch.setattr("swath.raster.reader.memory_check.free_memory", lambda: 1000)
    with Workers(8) as workers:
        workers.reserve_memory(dataset, MemoryNeed(0, 100))
        pool = workers.decoder_pool  # the source of the first file keeps it
        workers.reserve_memory(dataset, MemoryNeed(0, 150), purpose="tiles")
        assert workers.thread_count == 4
        barrier = threading.Barrier(4)
        waits = [pool.submit(barrier.wait, 30) for _ in range(4)]
        assert sorted(wait.result() for wait in waits) == [0, 1, 2, 3]
        names = {one.name for one in threading.enumerate() if "swath-decode" in one.name}

    assert len(names) == 4


def test_memory_for_the_same_purpose_is_counted_once(dataset, monkeypatch):
    monkeypatch.setattr("swath.raster.reader.memory_check.free_memory", lambda: 1000)
    with Workers(8) as workers:
        for _ in range(3):
            workers.reserve_memory(dataset, MemoryNeed(400, 100))
        assert workers.thread_count == 6
        with pytest.raises(SceneError, match="reading them takes"):
            workers.reserve_memory(dataset, MemoryNeed(600, 0), purpose="tiles")
