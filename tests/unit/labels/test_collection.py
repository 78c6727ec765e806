import dataclasses

import numpy as np
import pytest
import shapely

from swath.errors import LabelsError
from swath.labels.collection import Collection
from tests.helpers.label_files import collection, labeled

BOXES = [[1, 2, 3, 4], [5, 6, 9, 9]]


def test_parts_of_a_collection_are_named():
    whole = collection(*(labeled(uri, 9, 9) for uri in ("a/x.tif", "b/y.tif", "b/x.tif")))

    part, rest = whole.subset(["b/x.tif", "y.tif"]), whole.without(["y.tif"])

    assert [scene.uri for scene in part.scenes] == ["b/y.tif", "b/x.tif"]
    assert [scene.uri for scene in rest.scenes] == ["a/x.tif", "b/x.tif"]
    with pytest.raises(LabelsError, match=r"2 scenes are named x\.tif; give the whole address"):
        whole.subset(["x.tif"])
    with pytest.raises(LabelsError, match=r"the collection has no scene z\.tif; it has x\.tif, y"):
        whole.without(["z.tif"])


def test_a_digest_does_not_depend_on_folder_or_order():
    first, second = labeled("a/x.tif", 9, 9, BOXES), labeled("a/y.tif", 9, 9)
    here = collection(first, second)
    there = collection(dataclasses.replace(second, uri="s3://b/y.tif"), first)

    assert here.digest == there.digest
    assert len(here.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "z.tif"},
        {"sha256": "00"},
        {"width": 10},
        {"boxes": np.array(BOXES) + 0.5},
        {"boxes": np.array(BOXES, np.float64)[::-1]},
        {"classes": np.array([0, 1])},
        {"crowd": np.array([True, False])},
        {"outlines": shapely.box(*np.array(BOXES, np.float64).T)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_digest_depends_on_everything_else(change):
    scene = labeled("x.tif", 9, 9, BOXES)

    changed = collection(dataclasses.replace(scene, **change), classes=("a", "b"))

    assert changed.digest != collection(scene, classes=("a", "b")).digest


def test_a_digest_depends_on_the_classes():
    scene = labeled("x.tif", 9, 9, BOXES)

    assert (
        Collection.from_scenes([scene], ["a"]).digest
        != Collection.from_scenes([scene], ["b"]).digest
    )
