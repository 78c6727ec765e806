import numpy as np
import pytest

from swath.detection.decode import detr
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of

SIZE = 16
BOX = [0.5, 0.5, 0.25, 0.125]


def answer(columns=4, **options):
    """Return the output specification of a DETR with two classes."""
    channels = 2 if options.get("score_activation", "softmax") != "softmax" else 3
    shapes = {"logits": [-1, -1, channels], "pred_boxes": [-1, -1, columns]}
    return answer_of("object-detection", shapes, **{"head": "detr"} | options)


def outputs_of(*queries):
    """Return DETR outputs from (logits, box) pairs."""
    logits, boxes = zip(*queries, strict=True)
    return np.array(logits, np.float32), np.array(boxes, np.float32)


def test_softmax_with_a_class_for_no_object():
    outputs = outputs_of(([1, 3, 0], BOX), ([2, 1, 4], BOX), ([4, 0, 0], [0.25, 0.5, 0.5, 1]))

    found = detr.decode(outputs, answer(), SIZE)

    assert found.row.tolist() == [0, 2]
    assert found.label.tolist() == [1, 0]
    assert found.box.tolist() == [[6, 7, 10, 9], [0, 0, 8, 16]]
    shares = np.exp([1, 3, 0]) / np.exp([1, 3, 0]).sum()
    assert found.score[0] == pytest.approx(shares[1])


def test_the_largest_share_may_be_that_of_no_object():
    found = detr.decode(outputs_of(([1, 0, 1.1], BOX)), answer(score_threshold=0.3), SIZE)

    assert found.label.tolist() == [0]


def test_shares_too_small_for_float32_are_none():
    assert len(detr.decode(outputs_of(([-500, 0, 500], BOX)), answer(), SIZE).box) == 0


@pytest.mark.parametrize(
    ("activation", "given"), [("sigmoid", [-1, 1]), ("none", [0.25, 0.7310586])]
)
def test_scores_without_activation(activation, given):
    found = detr.decode(outputs_of((given, BOX)), answer(score_activation=activation), SIZE)

    assert found.label.tolist() == [1]
    assert found.score.tolist() == pytest.approx([0.7310586])


def test_oriented_boxes():
    said = answer(5, box_format="cxcywhr", score_activation="sigmoid")

    found = detr.decode(outputs_of(([5, 0], [*BOX, np.pi / 2])), said, SIZE)

    np.testing.assert_allclose(found.box, [[7, 6, 9, 10]], atol=1e-6)
    assert said.task == "oriented-detection"


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        (outputs_of(([np.nan, 0, 0], BOX)), "NaN in logits"),
        (outputs_of(([5, 0, 0], [np.nan, 0, 0, 0])), "NaN in boxes"),
        (outputs_of(([np.inf, 0, 0], BOX)), "infinite logits"),
        (outputs_of(([5, 0, 0], [np.inf, 0, 1, 1])), "infinite side"),
        (outputs_of(([5, 0], BOX)), r"logits of shape \(1, 2\) .* not \(any, 3\)"),
        ((np.zeros((2, 3)), np.zeros((3, 4))), r"boxes of shape \(3, 4\) .* not \(2, 4\)"),
        ((np.zeros((2, 3)),), r"1 outputs, .* boxes as number 2"),
    ],
)
def test_what_is_no_answer_is_refused(outputs, named):
    with pytest.raises(ModelOutputError, match=named):
        detr.decode(outputs, answer(), SIZE)


def test_a_softmax_inside_the_model_leaves_its_column_for_no_object():
    shapes = {"logits": [-1, -1, 3], "pred_boxes": [-1, -1, 4]}
    said = answer_of("object-detection", shapes, head="detr", score_activation="none")
    outputs = outputs_of(([0.1, 0.8, 0.1], BOX), ([0.2, 0.1, 0.7], BOX))

    found = detr.decode(outputs, said, SIZE)

    assert (found.row.tolist(), found.label.tolist()) == ([0], [1])
    assert found.score[0] == pytest.approx(0.8)
