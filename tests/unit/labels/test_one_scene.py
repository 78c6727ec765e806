"""Tests of scene identity: one scene under several names, and images with an orientation tag."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from swath.errors import LabelsError
from swath.labels.read import read_collection
from swath.messages import RunOptions
from swath.pipeline.local import new_request
from swath.raster.scene import open_scene
from swath.training.options import TrainOptions
from swath.training.train import train
from tests.helpers.label_files import coco, write_json


@pytest.fixture
def port(make_scene, tmp_path):
    """Return a folder with the scene port.tif of 60 x 40 px."""
    (tmp_path / "a").mkdir()
    make_scene(np.arange(2400, dtype=np.uint16).reshape(1, 40, 60), name="a/port.tif")
    return tmp_path / "a"


def labels_of(path, *names):
    given = [(number, 1, (5, 6, 10, 20)) for number in range(1, len(names) + 1)]
    content = coco(images=[(name, 60, 40) for name in names], annotations=given)
    return write_json(path / "labels.json", content)


@pytest.mark.parametrize("other", ["./port.tif", "../a/port.tif", "b/../port.tif", ".//port.tif"])
def test_two_names_of_one_file_are_refused(port, other):
    (port / "b").mkdir()

    with pytest.raises(
        LabelsError, match=r"images 1 \(port.tif\) and 2 .* refer to the same scene"
    ):
        read_collection(labels_of(port, "port.tif", other), str(port))


@pytest.mark.parametrize("put", [shutil.copy, os.symlink, os.link])
def test_two_files_of_the_same_bytes_are_refused(port, put):
    put(port / "port.tif", port / "other.tif")

    with pytest.raises(LabelsError, match=r"port\.tif and .*other\.tif have the same bytes"):
        read_collection(labels_of(port, "port.tif", "other.tif"), str(port))


def test_a_scene_is_not_validated_on_that_was_trained_on(port, tmp_path):
    (tmp_path / "val").mkdir()
    shutil.copy(port / "port.tif", tmp_path / "val" / "quay.tif")
    learnt = read_collection(labels_of(port, "port.tif"), str(port))
    val = read_collection(labels_of(tmp_path / "val", "quay.tif"), str(tmp_path / "val"))

    with pytest.raises(LabelsError, match=r"port\.tif and the validation scene .*quay\.tif"):
        train(TrainOptions(), learnt, val, tmp_path / "out")


@pytest.mark.parametrize(
    "spelt", ["{0}/port.tif", "{0}/./port.tif", "{0}/../a//port.tif", "file://{0}/port.tif",
              "{1}/port.tif", "{0}/port.tif/"]
)  # fmt: skip
def test_a_run_is_named_alike_however_its_scene_is_spelt(port, tmp_path, package, spelt):
    (tmp_path / "link").symlink_to(port)
    plain = new_request(str(port / "port.tif"), str(package), RunOptions())

    request = new_request(spelt.format(port, tmp_path / "link"), str(package), RunOptions())

    assert (request.run_id, request.scene.uri) == (plain.run_id, str(port / "port.tif"))


def test_a_relative_path_names_the_same_run(port, package, monkeypatch):
    plain = new_request(str(port / "port.tif"), str(package), RunOptions())
    monkeypatch.chdir(port)

    assert new_request("../a/port.tif", str(package), RunOptions()).run_id == plain.run_id


GEOREFERENCED = {
    33550: (10.0, 10.0, 0.0),
    33922: (0.0, 0.0, 0.0, 5e5, 5e6, 0.0),
    34735: (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_in_px_of_a_turned_scene_are_refused(tmp_path, orientation):
    # A run accepts the scene: the georeference belongs to the pixels as they are stored.
    image = Image.fromarray(np.arange(240, dtype=np.uint8).repeat(10).reshape(40, 60))
    image.save(tmp_path / "port.tif", tiffinfo={274: orientation, **GEOREFERENCED})
    with open_scene(str(tmp_path / "port.tif")) as scene:
        assert scene.info.transform is not None
    labels = labels_of(tmp_path, "port.tif")

    if orientation == 1:
        assert len(read_collection(labels, str(tmp_path)).scenes) == 1
        return
    with pytest.raises(LabelsError, match=rf"port\.tif has the TIFF tag Orientation {orientation}"):
        read_collection(labels, str(tmp_path))
