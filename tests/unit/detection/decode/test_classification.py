import numpy as np
import pytest

from swath.detection.decode import classification
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of


def answer(classes=("a", "b", "c"), **options):
    shape = [-1, len(classes)]
    return answer_of("scene-classification", {"pred": shape}, classes=classes, **options)


@pytest.mark.parametrize(
    ("activation", "score"),
    [("sigmoid", 1 / (1 + np.exp(-2))), ("softmax", 1 / (1 + 2 * np.exp(-2)))],
)
def test_the_best_class_and_its_probability(activation, score):
    given = np.array([0, 2, 0], np.float32)

    label, found = classification.decode((given,), answer(score_activation=activation))

    assert label == 1
    assert found == pytest.approx(score)


def test_infinite_logits_are_refused():
    given = np.array([0, np.inf, 0], np.float32)

    with pytest.raises(ModelOutputError, match="infinite logits"):
        classification.decode((given,), answer(score_activation="softmax"))


def test_one_class_is_there_or_not():
    assert classification.decode((np.array([0.25], np.float32),), answer(("a",))) == (0, 0.25)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (np.array([0, 7.5, 0]), "the score 7.5; .* score_activation"),
        (np.zeros(2), r"shape \(2,\) .* not \(3,\)"),
        (np.array([0, np.nan, 0]), "NaN in scores"),
    ],
)
def test_what_is_no_answer_is_refused(given, named):
    with pytest.raises(ModelOutputError, match=named):
        classification.decode((given,), answer())
