import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import LabelsError
from swath.labels.splits import folds
from tests.helpers.label_files import collection, labeled

BOX = [0, 0, 1, 1]


def of_counts(counts):
    return collection(
        *(labeled(f"{number}.tif", 9, 9, [BOX] * count) for number, count in enumerate(counts))
    )


@given(st.lists(st.integers(0, 9), min_size=2, max_size=9), st.integers(2, 5), st.integers(0, 3))
def test_each_scene_is_validated_on_once_and_never_trained_on_meanwhile(counts, number, seed):
    number = min(number, len(counts))
    whole = of_counts(counts)
    names = {scene.uri for scene in whole.scenes}
    seen = []

    for train, val in folds(whole, number, seed=seed):
        assert val.scenes
        assert not {scene.uri for scene in train.scenes} & {scene.uri for scene in val.scenes}
        assert {scene.uri for scene in (*train.scenes, *val.scenes)} == names
        seen += [scene.uri for scene in val.scenes]

    assert sorted(seen) == sorted(names)


def test_folds_have_about_as_many_objects():
    parts = list(folds(of_counts([48, 36, 27, 19, 18, 17, 15, 12]), 4))

    counts = [sum(len(scene.boxes) for scene in val.scenes) for _, val in parts]
    assert max(counts) - min(counts) <= 12


def test_folds_do_not_depend_on_the_order_of_scenes():
    whole = of_counts([3, 3, 3, 3, 0, 0])
    turned = collection(*reversed(whole.scenes))

    def names(part):
        return [{scene.uri for scene in val.scenes} for _, val in part]

    assert names(folds(whole, 3)) == names(folds(turned, 3))
    assert any(names(folds(whole, 3)) != names(folds(whole, 3, seed=seed)) for seed in range(1, 9))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_folds_that_cannot_be_made_are_refused(count):
    with pytest.raises(LabelsError, match=f"3 scenes cannot be split into {count} folds"):
        list(folds(of_counts([1, 1, 1]), count))
