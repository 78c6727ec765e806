"""Tests of the agreement of two views inside the overlap of both tiles."""

import numpy as np
import pytest

from swath.detection.stitching.agreement import OverlapRegion

REGION = OverlapRegion(np.array([[0.0, 0.0]]), np.array([[10.0, 10.0]]), 0.0)


@pytest.mark.parametrize("scale", [0.25, 1, 4])
def test_boxes_agree_as_their_sides_do_however_small_they_are(scale):
    one = np.array([[1.0, 1.0, 1.5, 1.5]]) * scale
    other = np.array([[1.25, 1.0, 1.75, 1.5]]) * scale

    assert REGION.box_agreement(one, other) == pytest.approx([1 / 3])
    assert REGION.box_agreement(other, one) == pytest.approx([1 / 3])
    assert REGION.box_agreement(one, one) == pytest.approx([1])


def test_boxes_apart_do_not_agree_at_all():
    one, other = np.array([[1.0, 1.0, 2.0, 2.0]]), np.array([[3.0, 1.0, 4.0, 2.0]])

    assert REGION.box_agreement(one, other) < 0.1
