from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from swath.models.runtimes.host_input import HostInput
from swath.models.scaling import MinMax, Offset


class Description:
    bands = ("red", "green")
    tile_size = 3
    scaling = (MinMax(minimum=0, maximum=10), Offset(value=1))


def tile(value, dtype=np.uint8):
    return np.full((2, 3, 3), value, dtype)


def test_tiles_are_scaled_and_the_batch_is_filled_up():
    feed = HostInput(Description)
    feed([tile(200)] * 3, 3)  # data of an earlier call must not remain

    stack = feed([tile(10), tile(20, np.int16)], 3)

    assert stack.shape == (3, 2, 3, 3)
    assert stack.dtype == np.float32
    assert stack[:, :, 0, 0].tolist() == [[1, 9], [2, 19], [0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_memory_layout_of_a_tile_changes_nothing(dtype):
    plain = np.random.default_rng(0).integers(0, 200, (2, 3, 3)).astype(dtype)
    other = np.ascontiguousarray(plain.transpose(1, 2, 0)).transpose(2, 0, 1)
    feed = HostInput(Description)

    np.testing.assert_array_equal(feed([plain], 1).copy(), feed([other], 1))


def test_a_thread_uses_its_array_again_and_no_other_threads():
    feed = HostInput(Description)
    first = feed([tile(1)] * 2, 2)

    assert np.shares_memory(first, feed([tile(2)], 1))
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(feed, [tile(3)], 1).result()
    assert not np.shares_memory(first, theirs)
