import numpy as np
import pytest

from swath.scaling import Clip, ClipMax, ClipMin, MinMax, Offset, Scale, ZScore, scale


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
    ],
)
def test_each_scaling_by_its_formula(scaling, expected):
    band = np.array([[0, 10, 20, 30]], np.float32)

    scaled = scaling.apply(band)

    assert scaled.dtype == np.float32
    assert scaled.tolist() == [expected]


def test_each_band_has_its_own():
    pixels = np.full((3, 2, 2), 10, np.float32)

    scaled = scale(pixels, [Scale(value=10), None, Offset(value=4)])

    assert scaled[:, 0, 0].tolist() == [1, 10, 6]


def test_bands_and_scalings_must_be_as_many():
    with pytest.raises(ValueError, match="shorter"):
        scale(np.zeros((2, 1, 1), np.float32), [None])
