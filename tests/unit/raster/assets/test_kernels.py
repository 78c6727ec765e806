"""Tests of the weights of resampling: their sums, their pixels, and what must be read for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.assets.alignment import Alignment, Axis
from swath.raster.assets.kernels import choose_kernel, compute_taps, source_range

KERNELS = ("nearest", "linear4", "cubic4", "linear", "cubic", "average")
AXES = st.builds(
    Axis,
    scale=st.sampled_from([0.25, 0.5, 2 / 3, 0.97, 1.0, 1.5, 2.0, 3.7, 6.0]),
    offset=st.sampled_from([0.0, -0.5, 7.25, -13.3, 30.0]),
    size=st.integers(20, 60),
)


@given(axis=AXES, kernel=st.sampled_from(KERNELS), start=st.integers(-40, 120))
def test_weights_sum_to_one_and_lie_in_the_pixels_that_are_read(axis, kernel, start):
    taps = compute_taps(axis, kernel, start, 25)
    low, high = source_range(axis, kernel, start, 25)
    index = taps.first[:, None] + np.arange(taps.count)
    used = (taps.weights != 0) & taps.inside[:, None]
    np.testing.assert_allclose(taps.weights[taps.inside].sum(axis=1), 1, atol=1e-12)
    if taps.inside.any():
        assert low <= index[used].min()
        assert index[used].max() < high
        assert low <= taps.nearest[taps.inside].min()
        assert taps.nearest[taps.inside].max() < high
        assert 0 <= low < high <= axis.size
    assert (index[taps.interior] >= 0).all()
    assert (index[taps.interior] < axis.size).all()


@pytest.mark.parametrize("kernel", ["linear4", "cubic4", "linear", "cubic"])
def test_weights_reproduce_a_straight_line(kernel):
    axis = Axis(1 / 3 if kernel.endswith("4") else 3.0, 5.25, 400)
    taps = compute_taps(axis, kernel, 0, 100)
    index = taps.first[:, None] + np.arange(taps.count)
    position = (np.arange(100) + 0.5) * axis.scale + axis.offset
    kept = taps.interior
    result = (taps.weights * (index + 0.5)).sum(axis=1)
    np.testing.assert_allclose(result[kept], position[kept], atol=0.02 if "c" in kernel else 1e-9)


def test_an_average_weighs_pixels_by_their_overlap():
    taps = compute_taps(Axis(2.5, 0.25, 100), "average", 0, 2)
    np.testing.assert_allclose(taps.weights[0], [0.3, 0.4, 0.3, 0])  # 0.25 to 2.75
    np.testing.assert_allclose(taps.weights[1], [0.1, 0.4, 0.4, 0.1])  # 2.75 to 5.25
    assert taps.first.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("across", "down", "method", "kernel"),
    [
        (0.5, 0.5, "bilinear", "linear4"),
        (0.5, 2.0, "bilinear", "linear"),
        (1.04, 1.0, "cubic", "cubic4"),
        (1.06, 1.0, "cubic", "cubic"),
        (0.5, 0.5, "average", "average"),
        (1.0, 1.0, "average", "nearest"),
        (3.0, 3.0, "nearest", "nearest"),
    ],
)
def test_the_kernel_is_widened_as_by_gdal(across, down, method, kernel):
    alignment = Alignment(Axis(across, 0.0, 9), Axis(down, 0.0, 9))
    assert choose_kernel(alignment, method) == kernel
