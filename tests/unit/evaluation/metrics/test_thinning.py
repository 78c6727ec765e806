"""Tests of curves thinned for the report: the shape stays for any number of detections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.evaluation.measure import thin_curve
from swath.evaluation.metrics.curves import THINNING_STEPS, Curve, select_plot_points
from tests.helpers.fuzzing import draws


def curve(seed, count, predictions, skill):
    """Return a curve whose hit rate rises with the score, more steeply with a larger `skill`."""
    rng = np.random.default_rng(seed)
    score = np.sort(rng.random(count))[::-1].copy()
    hit = rng.random(count) < predictions * score**skill
    hits = np.cumsum(hit)
    return Curve(score, hits, np.arange(1, count + 1) - hits, int(hits[-1] * 1.25) + 1)


def interpolated(recall, precision, at):
    """Return the best precision at a recall of `at` or more, 0 beyond the curve."""
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return best[np.searchsorted(recall, at)]


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=1000), deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 399, 401, 5_000, 100_000]),
    st.floats(0.01, 1),
    st.sampled_from([0.0, 1.0, 8.0, 60.0]),
)
def test_precision_at_each_step_of_recall_stays(seed, count, predictions, skill):
    whole = curve(seed, count, predictions, skill)
    few = thin_curve(whole)
    steps = np.arange(THINNING_STEPS + 1) / THINNING_STEPS

    recall, precision = np.array(few.recall), np.array(few.precision)

    np.testing.assert_array_equal(
        interpolated(recall, precision, steps),
        interpolated(whole.recall, whole.precision, steps),
    )
    assert len(few.score) <= max(2 * THINNING_STEPS, 6 * (THINNING_STEPS + 1))
    assert (few.score[0], few.score[-1]) == (whole.score[0], whole.score[-1])
    assert max(few.f1) == whole.f1.max()
    # Each omitted point is between two close points, in recall and in score.
    kept = select_plot_points(whole)
    assert np.diff(whole.recall[kept]).max(initial=0) <= 1 / THINNING_STEPS + 1 / whole.objects
    gaps = np.diff(whole.score[kept])
    assert -gaps.min(initial=0) <= 1 / THINNING_STEPS + np.abs(np.diff(whole.score)).max(initial=0)


def test_objects_that_score_high_among_many_false_alarms_keep_their_part_of_the_curve():
    """Check 1,000 objects in the first 2,000 of 100,000 detections: an eighth of 400 ranks."""
    score = np.linspace(1, 0, 100_000)
    hits = np.minimum(np.arange(1, 100_001), 2_000) // 2
    whole = Curve(score, hits, np.arange(1, 100_001) - hits, 1_000)

    assert len(np.unique(thin_curve(whole).recall)) >= THINNING_STEPS
