from pathlib import Path

import numpy as np
import pytest

from swath import storage
from swath.errors import InputError, LabelsError
from swath.labels import text
from swath.labels.read import read_collection
from tests.helpers.label_files import coco, write_json


@pytest.fixture
def port(make_scene, tmp_path):
    """Return a folder with one scene and its labels."""
    make_scene(np.zeros((1, 40, 60), np.uint8), name="port.tif")
    content = coco(images=[("port.tif", 60, 40)], annotations=[(1, 1, (5, 6, 10, 20))])
    write_json(tmp_path / "labels.json", content)
    return tmp_path


def test_labels_that_lie_with_their_scenes_are_found(port):
    assert len(read_collection(None, str(port)).scenes[0].boxes) == 1


def test_labels_and_scenes_may_lie_on_s3(port, http_bucket):
    for name in ("port.tif", "labels.json"):
        storage.write_bytes(storage.join(http_bucket, "set", name), (port / name).read_bytes())

    here = read_collection(str(port / "labels.json"), str(port))
    there = read_collection(f"{http_bucket}/set/labels.json", f"{http_bucket}/set")

    assert there.scenes[0].uri == f"{http_bucket}/set/port.tif"
    assert np.array_equal(there.scenes[0].boxes, here.scenes[0].boxes)
    assert there.digest == here.digest
    assert read_collection(None, f"{http_bucket}/set").digest == here.digest


def test_what_is_missing_on_s3_is_named(port, http_bucket):
    labels = f"{http_bucket}/labels.json"
    with pytest.raises(LabelsError, match=f"{labels} does not exist"):
        read_collection(labels, http_bucket)

    storage.write_bytes(labels, (port / "labels.json").read_bytes())
    with pytest.raises(LabelsError, match=f"there is no scene at {http_bucket}/port.tif"):
        read_collection(labels, http_bucket)


def test_a_folder_whose_labels_cannot_be_told_is_refused(port):
    (port / "more.json").write_text("{}")

    with pytest.raises(
        LabelsError, match=r"but has .*labels\.json, .*more\.json; give the address"
    ):
        read_collection(None, str(port))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("nothing.json", r"nothing\.json does not exist; check the address"),
        ("", r"there are no labels in .*empty"),
        ("broken.json", r"broken\.json: Input data was truncated; labels are COCO"),
    ],
)
def test_labels_that_are_not_there_are_refused(port, labels, message):
    (port / "empty").mkdir()
    (port / "empty" / "broken.json").write_text("{")
    folder = port / "empty"
    if not labels:
        (folder / "broken.json").unlink()

    with pytest.raises(LabelsError, match=message):
        read_collection(str(Path(folder, labels)), str(port))


def test_a_folder_without_scenes_is_refused(port):
    (port / "empty").mkdir()
    labels = write_json(port / "x.geojson", {"type": "FeatureCollection", "features": []})

    with pytest.raises(LabelsError, match=r"empty contains no scenes: it must be a folder"):
        read_collection(labels, str(port / "empty"))


def test_a_file_of_labels_has_a_limit(tmp_path, monkeypatch):
    path = tmp_path / "labels.json"
    path.write_text("{}")
    monkeypatch.setattr(text, "MAX_LABEL_BYTES", 2)
    assert text.read_text(str(path)) == b"{}"

    monkeypatch.setattr(text, "MAX_LABEL_BYTES", 1)
    with pytest.raises(InputError, match=r"labels\.json has more than"):
        text.read_text(str(path))
