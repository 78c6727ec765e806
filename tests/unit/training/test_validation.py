import numpy as np
import pytest
import torch

from swath.errors import InputError, TrainingError, TrainingInterruptedError
from swath.evaluation.metrics.curves import Curve
from swath.labels.collection import Collection
from swath.training.hard_negatives import find_hard_negatives
from swath.training.inputs import Inputs
from swath.training.networks import build
from swath.training.package_spec import package_spec, with_hyperparameters
from swath.training.predict_scenes import Observer
from swath.training.validation import LEAST_SCORE, middle_of_best, validator_of
from tests.helpers.squares import collection, options


class Bright(torch.nn.Module):
    """Says `class 0` of every pixel that is bright: 4 standard deviations above the mean."""

    def forward(self, tiles):
        return 1000 * (tiles[:, :1] - 2)


class Boxes(torch.nn.Module):
    """A box of 8 px in the middle of each tile."""

    def __init__(self, score):
        super().__init__()
        self.row = torch.nn.Parameter(torch.tensor([32.0, 32.0, 8.0, 8.0, score]))

    def forward(self, tiles):
        return self.row.expand(len(tiles), 1, 5).transpose(1, 2)


def observer(squares, network, module, *, stop=lambda: False, **hyperparameters):
    """What looks at scenes with a module in the place of a network's exported form."""
    chosen = options(**{"network": network, "network.channels": "[4,4]"})
    data = collection(squares, "train")
    inputs = Inputs.of(data, chosen)
    built = build(network, bands=2, classes=1, size=64, channels=(4, 4))
    built.exported = lambda: module
    spec = package_spec(
        built, chosen, bands=inputs.bands, scaling=inputs.scaling, classes=data.classes
    )
    return Observer(
        built, with_hyperparameters(spec, hyperparameters), torch.device("cpu"), stop=stop
    )


def test_a_segmentation_of_the_bright_pixels_is_nearly_right(squares):
    data = collection(squares, "val")
    validate = validator_of("semantic-segmentation", data)

    found = validate(observer(squares, "unet", Bright(), **validate.hyperparameters))

    assert found.score == found.metrics["miou"]
    assert found.score > 0.9
    assert found.metrics["f1"] >= found.score


def test_hard_negatives_are_where_nothing_is_labelled(squares):
    data = collection(squares, "train")
    looks = observer(squares, "detector", Boxes(0.7), score_threshold=0.5)

    found = find_hard_negatives(looks, data, least_score=0.6)
    none = find_hard_negatives(looks, data, least_score=0.8)

    assert none == ()
    assert found
    by_uri = {scene.uri: scene for scene in data.scenes}
    for negative in found:
        x0, y0, x1, y1 = negative.box
        boxes = by_uri[negative.uri].boxes
        apart = (
            (boxes[:, 0] >= x1) | (boxes[:, 2] <= x0) | (boxes[:, 1] >= y1) | (boxes[:, 3] <= y0)
        )
        assert apart.all()


def test_an_answer_that_holds_nan_is_told_of(squares):
    looks = observer(squares, "detector", Boxes(torch.nan), score_threshold=0.5)

    with pytest.raises(TrainingError, match=r"tiles of .*a\.tif failed"):
        looks.detections(collection(squares, "train").scenes[0].uri)


def test_it_stops_when_it_is_told_to(squares):
    looks = observer(squares, "detector", Boxes(0.9), stop=lambda: True, score_threshold=0.5)

    with pytest.raises(TrainingInterruptedError):
        looks.detections(collection(squares, "train").scenes[0].uri)


def test_scenes_without_objects_tell_nothing(squares):
    data = collection(squares, "val")
    empty = data.scenes[0]
    nothing = {"boxes": empty.boxes[:0], "classes": empty.classes[:0], "crowd": empty.crowd[:0]}
    bare = type(empty)(
        uri=empty.uri, width=empty.width, height=empty.height, outlines=None, **nothing
    )

    with pytest.raises(InputError, match=r"nothing to find in .*v\.tif"):
        validator_of("object-detection", Collection.of([bare], data.classes))


def curve(scores, hits, truths):
    hits = np.cumsum(hits)
    return Curve(np.array(scores), hits, np.arange(1, len(hits) + 1) - hits, truths)


@pytest.mark.parametrize(
    ("scores", "hits", "truths", "wanted"),
    [
        ([0.9, 0.8, 0.3], [1, 1, 0], 2, (0.8 + 0.3) / 2),
        ([0.9, 0.8], [1, 1], 2, (0.8 + LEAST_SCORE) / 2),
        ([0.9, 0.8], [0, 1], 1, (0.8 + LEAST_SCORE) / 2),
        ([0.9], [1], 1, (0.9 + LEAST_SCORE) / 2),
        ([], [], 1, None),
    ],
)
def test_the_threshold_lies_between_the_last_that_counts_and_the_next(scores, hits, truths, wanted):
    assert middle_of_best(curve(scores, hits, truths)) == (wanted and pytest.approx(wanted))
