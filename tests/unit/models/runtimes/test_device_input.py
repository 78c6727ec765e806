import numpy as np
import pytest

from swath.models.runtimes.host_input import HostInput
from swath.models.scaling import Clip, MinMax, Offset, ZScore

torch = pytest.importorskip("torch")
from swath.models.runtimes.device_input import DeviceInput  # noqa: E402 (it imports torch)

CPU = torch.device("cpu")


class Described:
    tile_size = 8

    def __init__(self, *scaling):
        self.scaling = scaling
        self.bands = [str(i) for i in range(len(scaling))]


SCALINGS = {
    "none": Described(None, None, None),
    "alike": Described(*[MinMax(minimum=0, maximum=255)] * 3),
    "by band": Described(*[ZScore(mean=20 * i, stddev=7 + i) for i in range(3)]),
    "mixed": Described(
        Clip(minimum=10, maximum=99), ZScore(mean=2, stddev=3), ZScore(mean=4, stddev=7)
    ),
    "one band": Described(Offset(value=0.1)),
}
DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.float16, np.float32]


def tiles_of(description, dtype, count, layout):
    rng = np.random.default_rng(1)
    size = description.tile_size
    limit = 100 if np.dtype(dtype).itemsize == 1 else 60_000
    shape = (count, len(description.bands), size, size)
    plain = rng.integers(0, limit, shape).astype(dtype)
    if layout == "bands last":
        return list(np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    return list(plain)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("layout", ["bands first", "bands last"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCALINGS)
def test_a_device_scales_to_the_same_bits_as_the_host(name, dtype, layout, channels_last):
    description = SCALINGS[name]
    tiles = tiles_of(description, dtype, 2, layout)
    feed = DeviceInput(description, CPU, channels_last=channels_last)

    scaled = feed.scale(feed.upload(tiles, 3))

    expected = HostInput(description)(tiles, 2)
    np.testing.assert_array_equal(scaled[:2].numpy(), expected)
    if channels_last:
        assert scaled.is_contiguous(memory_format=torch.channels_last)


def test_what_travels_is_as_small_as_in_the_scene():
    feed = DeviceInput(SCALINGS["by band"], CPU, channels_last=True)
    tiles = tiles_of(SCALINGS["by band"], np.uint8, 2, "bands last")

    raw = feed.upload(tiles, 4)

    assert raw.dtype == torch.uint8
    assert raw.shape == (4, 3, 8, 8)
    assert not raw[2:].any()


def test_tiles_of_several_types_travel_as_one_that_holds_them():
    feed = DeviceInput(SCALINGS["none"], CPU, channels_last=False)
    whole = tiles_of(SCALINGS["none"], np.uint16, 1, "bands last")
    filled = tiles_of(SCALINGS["none"], np.float32, 1, "bands first")

    raw = feed.upload(whole + filled, 2)

    assert raw.dtype == torch.float32
    np.testing.assert_array_equal(raw.numpy(), np.stack([whole[0], filled[0]]))
