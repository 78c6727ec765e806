import re

import pytest

from swath.errors import PackageError
from tests.helpers.packages import answer_of

DETECTION, SEGMENTATION = "object-detection", "semantic-segmentation"
INSTANCES, CLASSIFICATION = "instance-segmentation", "scene-classification"
DETR = {"head": "detr"}
TORCHVISION = {"head": "torchvision", "first_label": 1}
PROTOTYPES = {"head": "prototypes", "box_format": "xyxy"}
LABELS = {"head": "labels"}


def rows(box_format="xyxy", **options):
    return {"box_format": box_format} | options


@pytest.mark.parametrize(
    ("task", "shapes", "options", "batched"),
    [
        (DETECTION, [[-1, 6, 100]], rows(), True),
        (DETECTION, [[1, 100, 6]], rows(output_layout="channels_last"), True),
        (DETECTION, [[-1, -1, -1]], rows(), True),
        (DETECTION, [[6, 100]], rows(), False),
        (DETECTION, [[-1, 7, -1]], rows(head="objectness"), True),
        (DETECTION, [[-1, 6, -1]], rows(head="labeled"), True),
        (DETECTION, [[-1, 7, -1]], rows("cxcywhr"), True),
        (DETECTION, [[-1, 10, -1]], rows("xyxyxyxy"), True),
        (DETECTION, [[-1, 100, 3], [-1, 100, 4]], DETR, True),
        (DETECTION, [[-1, 100, 2], [-1, 100, 4]], DETR | {"score_activation": "sigmoid"}, True),
        (DETECTION, [[-1, 4], [-1], [-1]], TORCHVISION, False),
        (DETECTION, [[-1, -1, 4], [-1, -1], [-1, -1]], TORCHVISION, True),
        (INSTANCES, [[-1, 4], [-1], [-1], [-1, 1, 16, 16]], TORCHVISION, False),
        (INSTANCES, [[-1, 4], [-1], [-1], [-1, 16, 16]], TORCHVISION, False),
        (INSTANCES, [[1, 9, 4], [1, 9], [1, 9], [1, 9, 1, 16, 16]], TORCHVISION, True),
        (INSTANCES, [[1, 9, 4], [1, 9], [1, 9], [1, 9, 16, 16]], TORCHVISION, True),
        (INSTANCES, [[-1, 38, -1], [-1, 32, 8, 8]], PROTOTYPES, True),
        (INSTANCES, [[-1, 38, -1], [-1, -1, 8, 8]], PROTOTYPES, True),
        (SEGMENTATION, [[-1, 2, 16, 16]], {}, True),
        (SEGMENTATION, [[-1, 16, 16]], LABELS, True),
        (SEGMENTATION, [[-1, 1, 16, 16]], LABELS, True),
        (SEGMENTATION, [[16, 16]], LABELS, False),
        (CLASSIFICATION, [[-1, 2]], {}, True),
        (CLASSIFICATION, [[2]], {}, False),
    ],
)
def test_shapes_that_the_heads_read(task, shapes, options, batched):
    named = {str(number): shape for number, shape in enumerate(shapes)}

    assert answer_of(task, named, **options).batched == batched


@pytest.mark.parametrize(
    ("task", "shapes", "options", "named"),
    [
        (
            DETECTION,
            [[-1, 5, 100]],
            rows(),
            (
                "shape [-1, 5, 100] for rows; the head rows reads ['batch', 6, any]: "
                "4 numbers of a xyxy box and 2 scores (channels_first)"
            ),
        ),
        (DETECTION, [[-1, 6, 100]], rows(output_layout="channels_last"), "['batch', any, 6]"),
        (DETECTION, [[-1, 6, 1]], rows(head="objectness"), "an objectness and 2 scores"),
        (DETECTION, [[-1, 9, 1]], rows(head="labeled"), "a score and a class"),
        (DETECTION, [[-1, 6, -1]], rows("cxcywhr"), "5 numbers of a cxcywhr box"),
        (DETECTION, [[-1, 6, 100, 1]], rows(), "shape [-1, 6, 100, 1]"),
        (DETECTION, [[-1, 100, 2], [-1, 100, 4]], DETR, '2 classes and "no object"'),
        (DETECTION, [[-1, 100, 3], [-1, 100, 5]], DETR, "cxcywh is 4 numbers"),
        (DETECTION, [[-1, 4], [-1, 1], [-1]], TORCHVISION, "for labels"),
        (INSTANCES, [[-1, 4], [-1], [-1], [-1, 3, 16, 16]], TORCHVISION, "for masks"),
        (INSTANCES, [[-1, 37, -1], [-1, 32, 8, 8]], PROTOTYPES, "['batch', 38, any]"),
        (INSTANCES, [[-1, 38, -1], [-1, 32]], PROTOTYPES, "(prototypes, rows, cols)"),
        (SEGMENTATION, [[-1, 3, 16, 16]], {}, "2 scores per pixel"),
        (SEGMENTATION, [[-1, 2, 16, 16]], LABELS, "['batch', any, any] or ['batch', 1, any, any]"),
        (CLASSIFICATION, [[-1, 3]], {}, "2 scores per tile"),
    ],
)
def test_shapes_that_they_do_not_read_are_refused(task, shapes, options, named):
    with pytest.raises(PackageError, match=re.escape(named)):
        answer_of(task, {str(number): shape for number, shape in enumerate(shapes)}, **options)
