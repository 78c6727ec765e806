"""Curves thinned for the report: their shape stays, however many detections there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.evaluation.figures import points_of
from swath.evaluation.metrics.curves import STEPS, Curve, thin
from tests.helpers.fuzzing import draws


def curve(seed, count, found, skill):
    """Hits where the score is high and false alarms where it is low: the more so by `skill`."""
    rng = np.random.default_rng(seed)
    score = np.sort(rng.random(count))[::-1].copy()
    hit = rng.random(count) < found * score**skill
    hits = np.cumsum(hit)
    return Curve(score, hits, np.arange(1, count + 1) - hits, int(hits[-1] * 1.25) + 1)


def interpolated(recall, precision, at):
    """The best precision at so much recall or more, 0 beyond the curve."""
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
def test_precision_at_each_step_of_recall_stays(seed, count, found, skill):
    whole = curve(seed, count, found, skill)
    few = points_of(whole)
    steps = np.arange(STEPS + 1) / STEPS

    recall, precision = np.array(few.recall), np.array(few.precision)

    np.testing.assert_array_equal(
        interpolated(recall, precision, steps),
        interpolated(whole.recall, whole.precision, steps),
    )
    assert len(few.score) <= max(2 * STEPS, 6 * (STEPS + 1))
    assert (few.score[0], few.score[-1]) == (whole.score[0], whole.score[-1])
    assert max(few.f1) == whole.f1.max()
    # What is left out is between two points that are close, in recall and in score.
    kept = thin(whole)
    assert np.diff(whole.recall[kept]).max(initial=0) <= 1 / STEPS + 1 / whole.truths
    gaps = np.diff(whole.score[kept])
    assert -gaps.min(initial=0) <= 1 / STEPS + np.abs(np.diff(whole.score)).max(initial=0)


def test_objects_that_score_high_among_many_false_alarms_keep_their_part_of_the_curve():
    """All 1,000 objects among the first 2,000 of 100,000 detections: an eighth of 400 ranks."""
    score = np.linspace(1, 0, 100_000)
    hits = np.minimum(np.arange(1, 100_001), 2_000) // 2
    whole = Curve(score, hits, np.arange(1, 100_001) - hits, 1_000)

    assert len(np.unique(points_of(whole).recall)) >= STEPS
