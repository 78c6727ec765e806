import re

import msgspec
import pytest

from swath.errors import PackageError
from swath.models.mlm_output import Hyperparameters, MlmOutput, parse_output_spec
from swath.models.nms_options import NmsOptions
from tests.helpers.packages import answer_of, output_entries

DETECTION, SEGMENTATION = "object-detection", "semantic-segmentation"
INSTANCES, CLASSIFICATION = "instance-segmentation", "scene-classification"
ROWS = {"pred": [-1, 6, -1]}
DETR = {"logits": [-1, 300, 3], "pred_boxes": [-1, 300, 4]}
TORCHVISION = {"boxes": [-1, 4], "labels": [-1], "scores": [-1]}
MASKS = TORCHVISION | {"masks": [-1, 1, 16, 16]}
PROTOTYPES = {"pred": [-1, 4 + 2 + 32, -1], "protos": [-1, 32, 4, 4]}
SCORES = {"pred": [-1, 2, 16, 16]}
BOXES = {"box_format": "xyxy"}


@pytest.mark.parametrize(
    ("mlm_task", "shapes", "options", "task", "head"),
    [
        (DETECTION, ROWS, BOXES, "detection", "rows"),
        ("detection", ROWS, BOXES, "detection", "rows"),
        (DETECTION, {"p": [-1, 7, -1]}, {"box_format": "cxcywhr"}, "oriented-detection", "rows"),
        (DETECTION, {"p": [-1, 10, 9]}, {"box_format": "xyxyxyxy"}, "oriented-detection", "rows"),
        (DETECTION, DETR, {"head": "detr"}, "detection", "detr"),
        (INSTANCES, MASKS, {"first_label": 1}, "instance-segmentation", "torchvision"),
        (
            INSTANCES,
            PROTOTYPES,
            {"head": "prototypes"} | BOXES,
            "instance-segmentation",
            "prototypes",
        ),
        (SEGMENTATION, SCORES, {}, "segmentation", "scores"),
        ("segmentation", SCORES, {}, "segmentation", "scores"),
        (SEGMENTATION, {"p": [-1, 16, 16]}, {"head": "labels"}, "segmentation", "labels"),
        (CLASSIFICATION, {"p": [-1, 2]}, {}, "classification", "scores"),
        ("classification", {"p": [-1, 2]}, {}, "classification", "scores"),
    ],
)
def test_tasks_and_heads(mlm_task, shapes, options, task, head):
    answer = answer_of(mlm_task, shapes, **options)

    assert (answer.task, answer.head) == (task, head)
    assert answer.batched == (shapes is not MASKS)


def test_what_a_plain_detector_leaves_out():
    answer = answer_of(DETECTION, ROWS, box_format="cxcywh", iou_threshold=0.3)

    assert answer.matching == NmsOptions(strategy="nms", metric="iou", threshold=0.3)
    assert (answer.outputs, answer.batched) == (("rows",), True)
    assert (answer.activation, answer.box_units) == ("none", "px")
    assert (answer.output_layout, answer.first_label, answer.mask) == ("channels_first", 0, False)


def test_what_detr_leaves_out():
    answer = answer_of(DETECTION, DETR, head="detr")

    assert answer.outputs == ("logits", "boxes")
    assert (answer.activation, answer.box_format) == ("softmax", "cxcywh")
    assert answer.box_units == "normalized"


def test_label_maps_need_no_threshold():
    answer = answer_of(SEGMENTATION, {"p": [-1, 1, 8, 8]}, head="labels", score_threshold=None)

    assert answer.score_threshold == 0


def test_the_background_is_named():
    answer = answer_of(SEGMENTATION, SCORES, background="b", min_area=4, mask=True)

    assert (answer.background, answer.min_area, answer.mask) == (1, 4.0, True)


def test_outputs_without_the_task_are_passed_over():
    entries = [
        *output_entries("similarity-search", {"embedding": [-1, 64]}, ""),
        *output_entries(DETECTION, DETR, "ab"),
        *output_entries("similarity-search", {"other": [-1, 64]}, ""),
    ]
    options = Hyperparameters(overlap=4, score_threshold=0.5, head="detr")

    answer = parse_output_spec(msgspec.convert(entries, list[MlmOutput]), options)

    assert answer.outputs == (None, "logits", "boxes")


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ({"strategy": "nmm"}, NmsOptions(strategy="nmm", threshold=0.3)),
        ({"threshold": 0.7, "metric": "ios"}, NmsOptions(metric="ios", threshold=0.7)),
        (
            {"strategy": "soft-nms", "sigma": 0.1},
            NmsOptions(strategy="soft-nms", threshold=0.3, sigma=0.1),
        ),
    ],
)
def test_the_iou_threshold_stands_in_for_that_of_the_matching(merge, expected):
    assert answer_of(DETECTION, ROWS, **BOXES, iou_threshold=0.3, merge=merge).matching == expected


@pytest.mark.parametrize(
    ("mlm_task", "shapes", "options", "named"),
    [
        ("similarity-search", ROWS, {}, "names the tasks ['similarity-search']; swath runs"),
        (DETECTION, ROWS, {}, "no box_format; the head rows needs one: xyxy or xywh"),
        (DETECTION, ROWS, BOXES | {"score_threshold": None}, "no score_threshold"),
        (DETECTION, ROWS, BOXES | {"head": "scores"}, "head is scores; for detection it is rows"),
        (
            DETECTION,
            TORCHVISION,
            {"head": "torchvision", "box_format": "cxcywhr"},
            "head is torchvision; for oriented-detection it is rows or objectness",
        ),
        (
            INSTANCES,
            PROTOTYPES,
            {"head": "prototypes", "box_format": "cxcywhr"},
            "the boxes of instance-segmentation are xyxy, xywh or cxcywh",
        ),
        (DETECTION, TORCHVISION, {"head": "torchvision"}, "no first_label"),
        (
            DETECTION,
            ROWS,
            BOXES | {"mask": True},
            "mask is True, which has no effect for detection",
        ),
        (DETECTION, ROWS, BOXES | {"first_label": 0}, "first_label is 0, which has no effect"),
        (DETECTION, ROWS, BOXES | {"angle": "last"}, "angle is 'last', which has no effect"),
        (SEGMENTATION, SCORES, BOXES, "box_format is 'xyxy', which has no effect"),
        (SEGMENTATION, SCORES, {"merge": {}}, "merge is {}, which has no effect for segmentation"),
        (SEGMENTATION, SCORES, {"ignore_label": 9}, "(it is for labels): leave it out"),
        (SEGMENTATION, SCORES, {"background": "c"}, "background is 'c', which is not one of"),
        (DETECTION, ROWS, BOXES | {"score_activation": "softmax"}, "for the head rows it is none"),
        (DETECTION, ROWS, BOXES | {"merge": {"strategy": "best"}}, "Invalid enum value 'best'"),
        (DETECTION, ROWS, BOXES | {"merge": {"iou": 0.5}}, "unknown field `iou`"),
        (DETECTION, ROWS, BOXES | {"merge": {"threshold": 2}}, "merge is {'threshold': 2}"),
        (DETECTION, ROWS, BOXES | {"classes": ()}, "at least one class"),
        (DETECTION, ROWS, BOXES | {"classes": "aa"}, "give at least one class, unique names"),
        (
            SEGMENTATION,
            {"p": [-1, 256, 8, 8]},
            {"classes": [str(i) for i in range(256)]},
            "names 256 classes; swath segments into 255 at most",
        ),
        (
            SEGMENTATION,
            {"p": [-1, 1, 8, 8]},
            {"classes": "a", "score_activation": "softmax"},
            "gives a single class the score 1 everywhere: use sigmoid",
        ),
        (
            DETECTION,
            ROWS,
            {"head": "detr"},
            "has 1 entries for detection; the head detr reads 2 (logits, boxes)",
        ),
        (DETECTION, DETR, BOXES, "has 2 entries for detection; the head rows reads 1"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(mlm_task, shapes, options, named):
    with pytest.raises(PackageError, match=re.escape(named)):
        answer_of(mlm_task, shapes, **options)
