import numpy as np
import pytest

from swath.detection.decode import semantic
from swath.detection.detections import NO_LABEL
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of

SIZE = 4


def answer(classes=("a", "b", "c"), **options):
    shape = [-1, len(classes), -1, -1]
    return answer_of("semantic-segmentation", {"pred": shape}, classes=classes, **options)


def label_map(**options):
    options = {"head": "labels", "score_threshold": None} | options
    return answer_of("semantic-segmentation", {"pred": [-1, -1, -1]}, **options)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_probabilities(dtype):
    scores = np.zeros((3, SIZE, SIZE), dtype)
    scores[0], scores[1, 1], scores[2, :, 2] = 0.25, 0.5, 0.75

    labels, probability = semantic.decode((scores,), answer(), SIZE)

    assert labels.tolist() == [[0, 0, 2, 0], [1, 1, 2, 1], [0, 0, 2, 0], [0, 0, 2, 0]]
    assert probability[1].tolist() == [0.5, 0.5, 0.75, 0.5]
    assert (labels.dtype, probability.dtype) == (np.uint8, np.float32)


def test_softmax():
    logits = np.random.default_rng(1).normal(scale=30, size=(3, SIZE, SIZE)).astype(np.float32)

    labels, probability = semantic.decode((logits,), answer(score_activation="softmax"), SIZE)

    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=0)
    np.testing.assert_array_equal(labels, shares.argmax(axis=0))
    np.testing.assert_allclose(probability, shares.max(axis=0), rtol=1e-5)


def test_one_channel_is_one_class():
    logits = np.linspace(-4, 4, 16, dtype=np.float32).reshape(1, SIZE, SIZE)

    labels, probability = semantic.decode(
        (logits,), answer(("a",), score_activation="sigmoid"), SIZE
    )

    assert not labels.any()
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits[0])), rtol=1e-6)


def test_scores_of_a_lower_resolution_are_brought_to_the_tiles():
    scores = np.array([[[0, 1], [0, 1]]], np.float32)

    labels, probability = semantic.decode((scores,), answer(("a",)), SIZE)

    assert labels.shape == (SIZE, SIZE)
    assert probability[0].tolist() == [0, 0.25, 0.75, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_label_maps(dtype):
    given = np.array([[0, 1], [1, 9]], dtype)

    labels, probability = semantic.decode((given,), label_map(ignore_label=9), SIZE)

    assert labels.tolist() == np.kron([[0, 1], [1, NO_LABEL]], np.ones((2, 2))).tolist()
    assert (probability == 1).all()
    assert labels.dtype == np.uint8


def test_label_maps_that_count_from_1():
    given = np.array([[[0, 1], [2, 0]]])

    labels, _ = semantic.decode((given,), label_map(first_label=1), 2)

    assert labels.tolist() == [[NO_LABEL, 0], [1, NO_LABEL]]


@pytest.mark.parametrize(
    ("outputs", "said", "named"),
    [
        ((np.full((3, 4, 4), np.nan),), answer(), "NaN in scores"),
        ((np.full((3, 4, 4), 7.5),), answer(), "the score 7.5; .* score_activation"),
        (
            (np.full((3, 4, 4), np.inf),),
            answer(score_activation="softmax"),
            "infinite logits",
        ),
        ((np.zeros((2, 4, 4)),), answer(), r"shape \(2, 4, 4\) .* not \(3, any, any\)"),
        ((np.zeros((4, 4)),), answer(), r"shape \(4, 4\)"),
        ((np.full((4, 4), 2),), label_map(), "label 2, .* 2 classes, numbered from 0"),
        ((np.full((4, 4), np.nan),), label_map(), "NaN in labels"),
        ((np.zeros((2, 4, 4)),), label_map(), r"labels of shape \(2, 4, 4\)"),
    ],
)
def test_what_is_no_answer_is_refused(outputs, said, named):
    with pytest.raises(ModelOutputError, match=named):
        semantic.decode(outputs, said, SIZE)
