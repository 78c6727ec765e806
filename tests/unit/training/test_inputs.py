import numpy as np
import pytest

from swath.errors import InputError
from swath.labels.collection import Collection, LabeledScene
from swath.models.scaling import MinMax, ZScore
from swath.training.data.statistics import BandStatistics
from swath.training.inputs import TrainInputs, balanced_weights, default_bands
from tests.helpers.squares import collection, options


def labeled(uri, classes):
    count = len(classes)
    return LabeledScene(
        uri=uri,
        width=9,
        height=9,
        boxes=np.tile([1.0, 1, 3, 3], (count, 1)),
        classes=np.array(classes, int),
        outlines=None,
        crowd=np.zeros(count, bool),
    )


def statistics(**changes):
    of = {"mean": 5.0, "stddev": 2.0, "minimum": 0.0, "maximum": 10.0, "valid_percent": 100.0}
    return BandStatistics(name="red", percentiles={1: 1.0, 99: 9.0}, **(of | changes))


@pytest.mark.parametrize(
    ("kind", "band", "wanted"),
    [
        ("z-score", statistics(), ZScore(5, 2)),
        ("z-score", statistics(stddev=0.0), ZScore(5, 1)),
        ("min-max", statistics(), MinMax(1, 9)),
    ],
)
def test_bands_are_scaled_by_their_statistics(squares, kind, band, wanted):
    inputs = TrainInputs(collection(squares, "val"), options(scaling=kind), [band], (None,), None)

    assert inputs.scaling == (wanted,)


@pytest.mark.parametrize(
    ("names", "profile", "wanted"),
    [
        (("b2", "b3", "b4", "b8"), {"photometric": "minisblack"}, ("b2", "b3", "b4", "b8")),
        ((), {"photometric": "rgb", "alpha": "yes"}, ("red", "green", "blue")),
        ((), {"photometric": "minisblack"}, ("band_1", "band_2", "band_3", "band_4")),
        (("b2", "b2"), {"photometric": "minisblack"}, ("band_1", "band_2", "band_3", "band_4")),
    ],
)
def test_by_default_all_bands_of_the_first_scene_are_taken(make_scene, names, profile, wanted):
    uri = make_scene(np.zeros((4, 9, 9), np.uint8), names=names, **profile)

    assert default_bands(Collection.from_scenes([labeled(uri, [0])], ["a"])) == wanted


def test_a_collection_without_scenes_has_no_bands():
    with pytest.raises(InputError, match="no scenes"):
        default_bands(Collection.from_scenes([], ["a"]))


def test_rare_classes_weigh_more_and_the_mean_over_objects_is_one():
    data = Collection.from_scenes([labeled("x.tif", [0] * 16 + [1] * 4)], ["a", "b", "none"])
    common, rare, none = balanced_weights(data)

    assert rare == pytest.approx(2 * common)
    assert 16 * common + 4 * rare == pytest.approx(20)
    assert none == 1


def test_weights_may_be_given(squares):
    data = collection(squares, "val")

    assert TrainInputs(data, options(class_weights="3"), [], (), None).class_weights() == [3.0]
    assert TrainInputs(data, options(), [], (), None).class_weights() is None
    assert TrainInputs(data, options(class_weights="balanced"), [], (), None).class_weights() == [
        pytest.approx(1)
    ]
