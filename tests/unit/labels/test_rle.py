import contextlib
import tracemalloc

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from swath.labels import rle


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40), fill=st.just(False)))
def test_masks_in_letters_are_read_as_the_coco_api_writes_them(mask):
    written = coco_mask.encode(np.asfortranarray(mask, np.uint8))

    assert np.array_equal(rle.decode(written["counts"].decode(), written["size"]), mask)


def test_masks_in_numbers_run_down_the_columns():
    assert rle.decode([1, 2, 3], (3, 2)).tolist() == [[False, False], [True, False], [True, False]]


@pytest.mark.parametrize("counts", [[1, 2], [4, -1, 3], [], [2**70]])
def test_runs_that_make_no_such_mask_are_refused(counts):
    with pytest.raises(ValueError, match="but the mask has"):
        rle.decode(counts, (2, 3))


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ("0", "have 0 px, but the mask has 2 x 3"),
        ("", "have 0 px, but the mask has 2 x 3"),
        ("P", "end within a number"),
        ("P" * 60, "is invalid"),
        ("\0", "is invalid"),
        ("é", "is invalid"),
        ("\ud800", "is invalid"),
    ],
)
def test_letters_that_make_no_such_mask_are_refused(counts, why):
    with pytest.raises(ValueError, match=why):
        rle.decode(counts, (2, 3))


@given(st.text(max_size=40), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_any_letters_make_a_mask_of_the_size_or_none(counts, size):
    with contextlib.suppress(ValueError):
        mask = rle.decode(counts, size)
        assert (mask.shape, mask.dtype) == (size, np.bool_)


def test_a_mask_has_so_many_pixels_and_no_more(monkeypatch):
    monkeypatch.setattr(rle, "MAX_MASK_PIXELS", 6)
    assert rle.decode([6], (2, 3)).shape == (2, 3)

    with pytest.raises(ValueError, match="2 x 4 px exceed the maximum of 6"):
        rle.decode([8], (2, 4))


def test_a_mask_of_a_scene_too_large_for_one_takes_no_memory():
    """Check five letters that encode a mask of 40 gigapixels."""
    tracemalloc.start()
    with pytest.raises(ValueError, match="give the outline as a polygon"):
        rle.decode([200_000 * 200_000], (200_000, 200_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20
