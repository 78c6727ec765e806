import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from swath.detection.decode import yolo
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of

SIZE = 16


def answer(channels=6, **options):
    options = {"box_format": "xyxy"} | options
    return answer_of("object-detection", {"pred": [-1, channels, -1]}, **options)


def raw_of(*candidates):
    """Return a raw output (channels, candidates)."""
    return np.array(candidates, np.float32).T


def test_the_threshold_is_inclusive_and_the_order_is_the_models():
    raw = raw_of([0, 0, 2, 2, 0.5, 0], [9, 9, 11, 11, 0.49, 0], [5, 5, 7, 7, 0.9, 0])

    found = yolo.decode((raw,), answer(), SIZE)

    assert found.box.tolist() == [[0, 0, 2, 2], [5, 5, 7, 7]]
    assert found.score.tolist() == pytest.approx([0.5, 0.9])
    assert found.row.tolist() == [0, 2]
    assert (found.box.dtype, found.score.dtype, found.label.dtype) == (
        np.float64,
        np.float32,
        np.int16,
    )


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_layouts_classes_and_precisions(layout, dtype):
    raw = raw_of([0, 0, 2, 2, 0.125, 0.75], [5, 5, 7, 7, 0.625, 0.5]).astype(dtype)
    shape = [-1, 6, -1] if layout == "channels_first" else [-1, -1, 6]
    said = answer_of("object-detection", {"pred": shape}, box_format="xyxy", output_layout=layout)

    found = yolo.decode((raw if layout == "channels_first" else raw.T,), said, SIZE)

    assert found.label.tolist() == [1, 0]
    assert found.score.tolist() == [0.75, 0.625]


shares = st.floats(0, 1, width=16)
tables = st.tuples(st.just(6), st.integers(0, 12)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=shares)
)


@given(tables, shares, st.booleans())
def test_rows_are_what_a_loop_over_them_gives(raw, threshold, objectness):
    head = "objectness" if objectness else "rows"
    said = answer_of(
        "object-detection",
        {"pred": [-1, 6, -1]},
        classes="a" if objectness else "ab",
        head=head,
        box_format="xywh",
        score_threshold=threshold,
    )
    expected = []
    for place, (x, y, width, height, *scores) in enumerate(raw.T.astype(np.float64)):
        classes = [scores[0] * scores[1]] if objectness else scores
        score = np.float32(max(classes))
        if score >= np.float32(threshold) and x + width > x and y + height > y:
            label = classes.index(max(classes))
            expected.append((place, [x, y, x + width, y + height], score, label))

    found = yolo.decode((raw,), said, SIZE)

    assert found.row.tolist() == [place for place, *_ in expected]
    assert found.box.tolist() == [box for _, box, *_ in expected]
    np.testing.assert_allclose(found.score, [score for *_, score, _ in expected], rtol=1e-6)
    assert found.label.tolist() == [label for *_, label in expected]


def test_of_equal_scores_the_first_class_counts():
    assert yolo.decode((raw_of([0, 0, 2, 2, 0.7, 0.7]),), answer(), SIZE).label.tolist() == [0]


def test_normalized_boxes():
    raw = raw_of([0.25, 0.5, 0.5, 1, 0.9, 0])

    found = yolo.decode((raw,), answer(box_units="normalized"), SIZE)

    assert found.box.tolist() == [[4, 8, 8, 16]]


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.7310586, 0.999999, 1.0])
def test_logits_are_what_their_sigmoid_is(threshold):
    logits = np.concatenate([np.linspace(-30, 30, 301), [1.0, np.inf, -np.inf]])
    raw = np.zeros((6, len(logits)), np.float32)
    raw[2:4], raw[4], raw[5] = 2, logits, -np.inf
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-raw[4]))

    found = yolo.decode((raw,), answer(score_activation="sigmoid", score_threshold=threshold), SIZE)

    assert set(np.flatnonzero(expected > threshold + 1e-6)) <= set(found.row)
    assert set(found.row) <= set(np.flatnonzero(expected >= threshold - 1e-6))
    np.testing.assert_allclose(found.score, expected[found.row], atol=1e-6)
    assert (found.score >= np.float32(threshold)).all()


def test_objectness_multiplies_the_score():
    raw = raw_of([0, 0, 2, 2, 0.9, 0.1, 0.8], [0, 0, 2, 2, 0.6, 0.8, 0.7], [0, 0, 2, 2, 0.4, 1, 1])

    found = yolo.decode((raw,), answer(7, head="objectness"), SIZE)

    assert found.label.tolist() == [1]
    assert found.score.tolist() == pytest.approx([0.72])
    assert found.row.tolist() == [0]


def test_objectness_as_logits():
    raw = raw_of([0, 0, 2, 2, 3, -3, 3])

    found = yolo.decode((raw,), answer(7, head="objectness", score_activation="sigmoid"), SIZE)

    assert found.score.tolist() == pytest.approx([(1 / (1 + np.exp(-3))) ** 2])


def test_labeled_rows():
    raw = raw_of([0, 0, 2, 2, 0.9, 1], [4, 4, 8, 8, 0.2, 7], [1, 1, 3, 3, 0.6, 0])

    found = yolo.decode((raw,), answer(6, head="labeled"), SIZE)

    assert found.label.tolist() == [1, 0]
    assert found.row.tolist() == [0, 2]


def test_labeled_rows_whose_first_class_is_1():
    raw = raw_of([0, 0, 2, 2, 0.9, 1], [0, 0, 2, 2, 0.9, 0])

    found = yolo.decode((raw,), answer(6, head="labeled", first_label=1), SIZE)

    assert found.label.tolist() == [0]
    assert found.row.tolist() == [0]


@pytest.mark.parametrize(("label", "first"), [(2, 0), (-1, 0), (3, 1)])
def test_a_label_that_is_none_is_refused(label, first):
    said = answer(6, head="labeled", first_label=first)

    with pytest.raises(
        ModelOutputError, match=f"label {label}, .* 2 classes, numbered from {first}"
    ):
        yolo.decode((raw_of([0, 0, 2, 2, 0.9, label]),), said, SIZE)


@pytest.mark.parametrize("place", ["after_box", "last"])
def test_oriented_rows(place):
    box, scores, angle = [8, 6, 4, 2], [0.9, 0.1], [np.pi / 2]
    row = box + (angle + scores if place == "after_box" else scores + angle)
    said = answer(7, box_format="cxcywhr", angle=place)

    found = yolo.decode((raw_of(row),), said, SIZE)

    np.testing.assert_allclose(found.box, [[7, 4, 9, 8]], atol=1e-6)
    assert found.outline[0].area == pytest.approx(8)
    assert said.task == "oriented-detection"


def test_normalized_angles_stay_radians():
    said = answer(7, box_format="cxcywhr", box_units="normalized")

    found = yolo.decode((raw_of([0.5, 0.5, 0.25, 0.125, np.pi / 4, 0.9, 0]),), said, SIZE)

    assert found.outline[0].area == pytest.approx(8)
    np.testing.assert_allclose(found.box[0, :2], 8 - 3 / np.sqrt(2), atol=1e-5)


@pytest.mark.parametrize("box", [[3, 3, 3, 8], [5, 5, 4, 9], [5, 5, 9, 4]])
def test_boxes_without_area_are_dropped(box):
    assert len(yolo.decode((raw_of([*box, 0.9, 0]),), answer(), SIZE).box) == 0


@pytest.mark.parametrize("box", [[3, 3, 0, 4, 1], [3, 3, 4, -1, 1], [3, 3, 0, 0, 0]])
def test_oriented_boxes_without_area_are_dropped(box):
    said = answer(7, box_format="cxcywhr")

    assert len(yolo.decode((raw_of([*box, 0.9, 0]),), said, SIZE).box) == 0


def test_a_tile_without_candidates():
    found = yolo.decode((np.empty((6, 0), np.float32),), answer(), SIZE)

    assert found.box.shape == (0, 4)
    assert len(found.score) == len(found.label) == 0


def test_outputs_that_are_not_read_are_passed_over():
    said = msgspec.structs.replace(answer(), outputs=(None, "rows"))

    assert len(yolo.decode((np.nan, raw_of([0, 0, 2, 2, 0.5, 0])), said, SIZE).box) == 1


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (raw_of([0, 0, 2, 2, np.nan, 0]), "NaN in rows"),
        (raw_of([np.nan, 0, 2, 2, 0.1, 0]), "NaN in rows"),
        (raw_of([0, 0, np.inf, 2, 0.9, 0]), "infinite"),
        (raw_of([0, 0, 2, 2, 7.5, 0]), "the score 7.5; .* score_activation"),
        (raw_of([0, 0, 2, 2, 0.5]), r"shape \(5, 1\) for one tile, not \(6, any\)"),
        (np.zeros(5, np.float32), r"shape \(5,\)"),
    ],
)
def test_what_is_no_answer_is_refused(raw, named):
    with pytest.raises(ModelOutputError, match=named):
        yolo.decode((raw,), answer(), SIZE)


def test_too_few_outputs_are_refused():
    with pytest.raises(ModelOutputError, match=r"0 outputs, .* rows as number 1"):
        yolo.decode((), answer(), SIZE)
