import msgspec
import numpy as np
import pytest

from swath.decode import decode, to_xyxy
from swath.errors import ModelOutputError
from swath.package import describe_package


@pytest.fixture
def description(package):
    return msgspec.structs.replace(describe_package(package)[0], box_format="xyxy")


def raw_of(*candidates):
    """(channels, candidates)."""
    return np.array(candidates, np.float32).T


@pytest.mark.parametrize(
    ("box_format", "given"),
    [("xyxy", [1, 2, 5, 8]), ("xywh", [1, 2, 4, 6]), ("cxcywh", [3, 5, 4, 6])],
)
def test_box_formats(box_format, given):
    assert to_xyxy(np.array([given], np.float64), box_format).tolist() == [[1, 2, 5, 8]]


def test_the_threshold_is_inclusive_and_the_best_comes_first(description):
    raw = raw_of([0, 0, 2, 2, 0.5], [5, 5, 7, 7, 0.9], [9, 9, 11, 11, 0.49])

    boxes, score, label = decode(raw, description)

    assert boxes.tolist() == [[5, 5, 7, 7], [0, 0, 2, 2]]
    assert score.tolist() == pytest.approx([0.9, 0.5])
    assert (boxes.dtype, score.dtype, label.dtype) == (np.float64, np.float32, np.int16)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_layouts_and_classes(description, layout):
    description = msgspec.structs.replace(description, classes=("a", "b"), output_layout=layout)
    raw = raw_of([0, 0, 2, 2, 0.1, 0.8], [5, 5, 7, 7, 0.7, 0.6])

    _, score, label = decode(raw if layout == "channels_first" else raw.T, description)

    assert label.tolist() == [1, 0]
    assert score.tolist() == pytest.approx([0.8, 0.7])


def test_doubles_are_suppressed_within_a_class_only(description):
    description = msgspec.structs.replace(description, classes=("a", "b"))
    raw = raw_of(
        [0, 0, 10, 10, 0.9, 0],
        [1, 0, 10, 10, 0.8, 0],
        [1, 0, 10, 10, 0, 0.7],
        [6, 0, 16, 10, 0.6, 0],
    )

    _, score, label = decode(raw, description)

    assert score.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert label.tolist() == [0, 1, 0]


def test_boxes_without_area_are_dropped(description):
    assert len(decode(raw_of([3, 3, 3, 8, 0.9], [5, 5, 4, 9, 0.9]), description)[0]) == 0


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (raw_of([0, 0, 2, 2, np.nan]), "NaN"),
        (raw_of([np.nan, 0, 2, 2, 0.1]), "NaN"),
        (raw_of([0, 0, np.inf, 2, 0.9]), "infinite"),
        (raw_of([0, 0, 2, 2, 0.5, 0.5]), "6 channels a candidate; .* 1 scores are 5"),
        (np.zeros(5, np.float32), r"shape \(5,\)"),
    ],
)
def test_what_is_no_answer_is_refused(description, raw, named):
    with pytest.raises(ModelOutputError, match=named):
        decode(raw, description)
