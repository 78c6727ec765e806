"""Tests of the buffer pool: it reuses a buffer only after the last reference is gone."""

import numpy as np
import pytest

from swath.raster.reader.buffer_pool import BufferPool


@pytest.fixture(params=[True, False])
def memory(request):
    return BufferPool(3, "uint8", interleaved=request.param)


def test_room_has_the_shape_asked_for(memory):
    assert memory.allocate(4, 5).shape == (3, 4, 5)


def test_what_is_seen_is_not_given_out_again(memory):
    room = memory.allocate(4, 5)
    tile = room[:, 1:3, 2:4][:1]
    del room

    assert not np.shares_memory(memory.allocate(4, 5), tile)


def test_what_nobody_sees_is(memory):
    room = memory.allocate(4, 5)
    at = room.__array_interface__["data"]
    del room

    assert memory.allocate(4, 5).__array_interface__["data"] == at


def test_what_nobody_sees_of_another_shape_is_let_go(memory):
    for rows in range(1, 50):
        memory.allocate(rows, 5)

    assert len(memory._arrays) == 1


def test_all_that_nobody_sees_of_another_shape_is_let_go_and_nothing_else(memory):
    seen = [memory.allocate(4, 5), memory.allocate(6, 5)]
    rooms = [memory.allocate(rows, 7) for rows in (2, 3)]
    assert len(memory._arrays) == 4
    del rooms

    memory.allocate(9, 9)

    assert len(memory._arrays) == len(seen) + 1
