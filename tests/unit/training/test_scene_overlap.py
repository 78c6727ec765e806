"""Tests of the warning that names validation scenes which overlap training scenes."""

import logging

import numpy as np
import pytest
from rasterio import Affine

from swath.training.scene_overlap import describe_scene_overlap
from tests.helpers.labeled import HEIGHT, WIDTH, collection_of
from tests.helpers.squares import collection, options


@pytest.fixture
def at(make_scene):
    """Return a collection of scenes at distances to the east in px; None = no georeference."""

    def make(*distances):
        scenes = []
        for distance in distances:
            place = {"crs": None, "transform": Affine.identity()} if distance is None else {
                "transform": Affine(10, 0, 500_000 + 10 * distance, 0, -10, 4_000_000)
            }  # fmt: skip
            name = f"at-{distance}-{len(list(scenes))}.tif"
            path = make_scene(np.ones((1, HEIGHT, WIDTH), np.uint8), name=name, **place)
            scenes.append((path, np.empty((0, 4))))
        return collection_of(scenes)

    return make


def test_scenes_of_other_places_are_not_mentioned(at):
    assert describe_scene_overlap(at(0, 3 * WIDTH), at(WIDTH, 7 * WIDTH)) == ""


def test_the_scene_that_overlaps_most_is_named_with_its_share(at):
    found = describe_scene_overlap(at(0, 10 * WIDTH), at(0.75 * WIDTH, 10.5 * WIDTH, 20 * WIDTH))

    assert found.startswith("2 of 3 validation scenes overlap training scenes; 50% of ")
    assert f"at-{10.5 * WIDTH}-1.tif is covered by " in found
    assert f"at-{10 * WIDTH}-1.tif. The metrics are therefore too high" in found


def test_scenes_without_a_place_overlap_nothing(at):
    assert describe_scene_overlap(at(None), at(None, 0)) == ""


def test_a_training_warns_of_them(squares, tmp_path, caplog):
    from swath.training.train import train  # noqa: PLC0415 (torch comes with it)

    with caplog.at_level(logging.WARNING):
        train(
            options(epochs="1", crops="8"),
            collection(squares, "train"), collection(squares, "val"), tmp_path,
        )  # fmt: skip

    assert "validation scenes overlap training scenes" in caplog.text
