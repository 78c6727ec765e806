import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from swath.models.scaling import (
    Clip,
    ClipMax,
    ClipMin,
    MinMax,
    Offset,
    Scale,
    ZScore,
    finite_range,
    is_degenerate,
    scale_into,
    scaling_steps,
)


def scaled(band, scaling):
    out = np.full((1, *band.shape), np.nan, np.float32)
    scale_into(out, band[None], [scaling_steps(scaling)])
    return out[0]


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        (MinMax(minimum=10, maximum=30), [-0.5, 0, 0.5, 1]),
        (ZScore(mean=10, stddev=5), [-2, 0, 2, 4]),
        (Clip(minimum=5, maximum=25), [5, 10, 20, 25]),
        (ClipMin(minimum=15), [15, 15, 20, 30]),
        (ClipMax(maximum=15), [0, 10, 15, 15]),
        (Offset(value=10), [-10, 0, 10, 20]),
        (Scale(value=10), [0, 1, 2, 3]),
        (None, [0, 10, 20, 30]),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32])
def test_each_scaling_by_its_formula(scaling, expected, dtype):
    assert scaled(np.array([[0, 10, 20, 30]], dtype), scaling).tolist() == [expected]


@pytest.mark.parametrize("minimum", [0, 3.7, -1000])
def test_it_rounds_as_the_formula_does_and_no_more(minimum):
    band = np.arange(65536, dtype=np.uint16)[None]

    found = scaled(band, MinMax(minimum=minimum, maximum=10_000))

    low, width = np.float32(minimum), np.float32(10_000 - minimum)
    np.testing.assert_array_equal(found, (band.astype(np.float32) - low) / width)


@pytest.mark.parametrize(
    ("scaling", "left"),
    [
        (MinMax(minimum=0, maximum=255), ["divide"]),
        (ZScore(mean=3, stddev=1), ["subtract"]),
        (MinMax(minimum=0, maximum=1), []),
        (Clip(minimum=0, maximum=1), ["maximum", "minimum"]),
        (None, []),
    ],
)
def test_what_changes_no_number_is_left_out(scaling, left):
    assert [name for name, _ in scaling_steps(scaling)] == left


def test_each_band_has_its_own():
    tile = np.full((3, 2, 2), 10, np.uint8)
    out = np.empty((3, 2, 2), np.float32)

    scale_into(out, tile, [scaling_steps(Scale(value=10)), (), scaling_steps(Offset(value=4))])

    assert out[:, 0, 0].tolist() == [1, 10, 6]


def test_bands_and_scalings_must_be_as_many():
    with pytest.raises(ValueError, match="shorter"):
        scale_into(np.zeros((2, 1, 1), np.float32), np.zeros((2, 1, 1)), [()])


@pytest.mark.parametrize(
    ("scaling", "by_zero"),
    [
        (MinMax(minimum=10, maximum=10), True),
        (MinMax(minimum=10, maximum=9), True),
        (MinMax(minimum=0, maximum=1), False),
        (ZScore(mean=10, stddev=0), True),
        (ZScore(mean=0, stddev=5), False),
        (Scale(value=0), True),
        (Scale(value=-1), False),
        (Clip(minimum=0, maximum=0), False),
        (Offset(value=0), False),
        (None, False),
    ],
)
def test_which_scalings_divide_by_zero(scaling, by_zero):
    assert is_degenerate(scaling) is by_zero


def test_a_divisor_that_float32_has_no_number_for_divides_by_zero():
    assert is_degenerate(Scale(value=1e-50))
    assert is_degenerate(ZScore(mean=0, stddev=-1e-50))
    assert is_degenerate(MinMax(minimum=0, maximum=1e-50))


any_number = st.floats(width=32, allow_nan=False, allow_infinity=False)
scalings = st.one_of(
    st.none(),
    st.builds(ZScore, mean=any_number, stddev=any_number.filter(bool)),
    st.builds(Offset, value=any_number),
    st.builds(Scale, value=any_number.filter(bool)),
    st.builds(Clip, minimum=any_number, maximum=any_number),
    st.builds(ClipMin, minimum=any_number),
)


@given(scaling=scalings, numbers=st.lists(any_number, min_size=1, max_size=9))
def test_the_numbers_within_reach_are_those_that_stay_finite(scaling, numbers):
    (low, high) = finite_range([scaling]).common
    assume(low <= high)
    numbers = [*numbers, low, high, np.nextafter(low, low - 1), np.nextafter(high, high + 1)]
    band = np.array([numbers], np.float32)
    band = band[np.isfinite(band)][None]

    with np.errstate(over="ignore"):
        finite = np.isfinite(scaled(band, scaling))

    np.testing.assert_array_equal(finite, (band >= low) & (band <= high))


def test_a_reach_that_zero_is_not_in_is_empty():
    low, high = finite_range([ZScore(mean=1e300, stddev=1)]).common
    assert low > high
