import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from swath.detection.decode.resample import bilinear

values = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-100, 100, width=32),
)


def centers(length, size):
    return (np.arange(size) + 0.5) * length / size


@given(values)
def test_the_same_resolution_changes_nothing(given_values):
    _, height, width = given_values.shape

    there = bilinear(given_values, centers(height, height), centers(width, width))

    np.testing.assert_array_equal(there, given_values)


@given(values, st.integers(1, 20), st.integers(1, 20))
def test_nothing_exceeds_what_is_given(given_values, rows, cols):
    _, height, width = given_values.shape

    there = bilinear(given_values, centers(height, rows), centers(width, cols))

    assert there.shape == (len(given_values), rows, cols)
    assert there.dtype == np.float32
    assert there.max() <= given_values.max() + 1e-4
    assert there.min() >= given_values.min() - 1e-4


def test_between_centers_it_is_linear_and_beyond_them_level():
    there = bilinear(np.array([[0, 4]], np.float32), np.array([0.5]), centers(2, 8))

    assert there.tolist() == [[0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]]
