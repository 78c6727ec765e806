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


@pytest.mark.parametrize("counts", [[1, 2], [4, -1, 3], "0"])
def test_runs_that_make_no_such_mask_are_refused(counts):
    with pytest.raises(ValueError, match="are wanted"):
        rle.decode(counts, (2, 3))
