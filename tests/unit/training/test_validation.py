import numpy as np
import pytest
import torch

from swath.errors import InputError, TrainingError, TrainingInterruptedError
from swath.evaluation.metrics.curves import Curve
from swath.labels.collection import Collection
from swath.training.hard_negatives import mine_hard_negatives
from swath.training.inputs import TrainInputs
from swath.training.networks import build_network
from swath.training.package_spec import package_spec, with_hyperparameters
from swath.training.predict_scenes import ScenePredictor
from swath.training.validation import MIN_SCORE, best_f1_threshold, create_validator
from tests.helpers.squares import collection, options


class Bright(torch.nn.Module):
    """A network that returns `class 0` for bright pixels: 4 standard deviations above the mean."""

    def forward(self, tiles):
        return 1000 * (tiles[:, :1] - 2)


class Boxes(torch.nn.Module):
    """A network that returns a box of 8 px in the middle of each tile."""

    def __init__(self, score):
        super().__init__()
        self.row = torch.nn.Parameter(torch.tensor([32.0, 32.0, 8.0, 8.0, score]))

    def forward(self, tiles):
        return self.row.expand(len(tiles), 1, 5).transpose(1, 2)


def predictor(squares, network, module, *, stop=lambda: False, **hyperparameters):
    """Return a predictor that runs a module instead of a network's exported form."""
    chosen = options(**{"network": network, "network.channels": "[4,4]"})
    data = collection(squares, "train")
    inputs = TrainInputs.from_collection(data, chosen)
    built = build_network(network, bands=2, classes=1, size=64, channels=(4, 4))
    built.exported = lambda: module
    spec = package_spec(
        built, chosen, bands=inputs.bands, scaling=inputs.scaling, classes=data.classes
    )
    return ScenePredictor(
        built, with_hyperparameters(spec, hyperparameters), torch.device("cpu"), stop=stop
    )


def test_a_segmentation_of_the_bright_pixels_is_nearly_right(squares):
    data = collection(squares, "val")
    validator = create_validator("semantic-segmentation", data)

    validation = validator(predictor(squares, "unet", Bright(), **validator.hyperparameters))

    assert validation.score == validation.metrics["miou"]
    assert validation.score > 0.9
    assert validation.metrics["f1"] >= validation.score


def test_hard_negatives_overlap_no_label(squares):
    data = collection(squares, "train")
    runner = predictor(squares, "detector", Boxes(0.7), score_threshold=0.5)

    found = mine_hard_negatives(runner, data, min_score=0.6)
    none = mine_hard_negatives(runner, data, min_score=0.8)

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


def test_an_output_with_nan_is_an_error(squares):
    runner = predictor(squares, "detector", Boxes(torch.nan), score_threshold=0.5)

    with pytest.raises(TrainingError, match=r"tiles of .*a\.tif failed"):
        runner.predict(collection(squares, "train").scenes[0].uri)


def test_prediction_stops_once_stop_returns_true(squares):
    runner = predictor(squares, "detector", Boxes(0.9), stop=lambda: True, score_threshold=0.5)

    with pytest.raises(TrainingInterruptedError):
        runner.predict(collection(squares, "train").scenes[0].uri)


def test_scenes_without_objects_are_refused_for_validation(squares):
    data = collection(squares, "val")
    empty = data.scenes[0]
    nothing = {"boxes": empty.boxes[:0], "classes": empty.classes[:0], "crowd": empty.crowd[:0]}
    bare = type(empty)(
        uri=empty.uri, width=empty.width, height=empty.height, outlines=None, **nothing
    )

    with pytest.raises(InputError, match=r"no labeled objects .*v\.tif"):
        create_validator("object-detection", Collection.from_scenes([bare], data.classes))


def curve(scores, hits, truths):
    hits = np.cumsum(hits)
    return Curve(np.array(scores), hits, np.arange(1, len(hits) + 1) - hits, truths)


@pytest.mark.parametrize(
    ("scores", "hits", "truths", "wanted"),
    [
        ([0.9, 0.8, 0.3], [1, 1, 0], 2, (0.8 + 0.3) / 2),
        ([0.9, 0.8], [1, 1], 2, (0.8 + MIN_SCORE) / 2),
        ([0.9, 0.8], [0, 1], 1, (0.8 + MIN_SCORE) / 2),
        ([0.9], [1], 1, (0.9 + MIN_SCORE) / 2),
        ([], [], 1, None),
    ],
)
def test_the_threshold_lies_between_the_last_that_counts_and_the_next(scores, hits, truths, wanted):
    assert best_f1_threshold(curve(scores, hits, truths)) == (wanted and pytest.approx(wanted))
