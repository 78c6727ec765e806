import json

import pytest

from swath import packing, storage
from swath.authoring.publish import Gate, publish_package
from swath.errors import InputError, PackageError
from swath.evaluation.evaluation import Evaluation
from swath.package import load_package
from tests.packages import bright_pixels, write_package


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def evaluation(folder, ap, *, collection="c"):
    """An `evaluation.json` that says so much."""
    text = {
        "package": {
            "name": "bright",
            "digest": "d",
            "task": "detection",
            "tile_size": 16,
            "overlap": 4,
            "score_threshold": 0.5,
            "reported_from": 0.01,
        },
        "collection": {"digest": collection, "scenes": 1, "objects": 1, "classes": ["dot"]},
        "conditions": {"compared": "boxes", "score_floor": 0.01},
        "figures": {"AP": ap, "AP50": ap, "best_F1": ap},
        "classes": [],
        "scenes": [],
        "curve": {"score": [], "precision": [], "recall": [], "f1": []},
        "confusion": [],
    }
    path = folder / f"evaluation-{ap}.json"
    path.write_text(json.dumps(text))
    Evaluation.from_json(text)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_package_goes_into_the_folder_that_is_deployed(package, models):
    (package / ".DS_Store").write_text("x")

    found = publish_package(package, [str(models)], Gate())

    assert names(models) == ["bright"]
    assert names(models / "bright") == ["mlm.json", "model.onnx"]
    assert load_package(models / "bright").digest == found.digest


def test_it_takes_the_place_of_the_one_before(package, models, tmp_path):
    publish_package(package, [str(models)], Gate())
    other = write_package(
        tmp_path / "other", lambda item: item["properties"].update({"title": "newer"})
    )
    (models / "bright" / "stale.txt").write_text("of the one before")

    found = publish_package(other, [str(models)], Gate())

    assert names(models) == ["bright"]
    assert names(models / "bright") == ["mlm.json", "model.onnx"]
    assert load_package(models / "bright").digest == found.digest


@pytest.mark.enable_socket
def test_it_goes_into_buckets_as_an_archive(package, models, http_bucket):
    places = [f"{http_bucket}/models", f"{http_bucket}/exact/ship.tar.gz", str(models)]

    found = publish_package(package, places, Gate())

    assert found.places[:2] == (f"{http_bucket}/models/bright/model.tar.gz", places[1])
    for place in found.places:
        assert load_package(place).digest == found.digest


def test_an_archive_is_published_as_its_folder_is(package, models, tmp_path):
    packing.pack(package, tmp_path / "model.tar.gz")

    found = publish_package(tmp_path / "model.tar.gz", [str(models)], Gate())

    assert found.digest == packing.package_digest(package)


def test_a_package_that_does_not_work_changes_nothing(package, models, tmp_path):
    publish_package(package, [str(models)], Gate())
    before = packing.package_digest(models / "bright")

    def change(item):
        item["properties"]["mlm:output"][0]["result"]["shape"] = [-1, 5, 9]

    bad = write_package(tmp_path / "bad", change, weights=bright_pixels())
    with pytest.raises(PackageError, match=r"is not published: .*describes \[5, 9\]"):
        publish_package(bad, [str(models)], Gate())
    assert packing.package_digest(models / "bright") == before
    assert names(models) == ["bright"]


@pytest.mark.parametrize("name", ["../outside", "", ".hidden", "a/b", "a b"])
def test_a_name_that_is_no_folder_is_refused(models, tmp_path, name):
    folder = write_package(
        tmp_path / "odd", lambda item: item["properties"].update({"mlm:name": name})
    )

    with pytest.raises(PackageError, match="cannot be the name of a folder"):
        publish_package(folder, [str(models)], Gate())
    assert names(models) == []


def test_what_cannot_be_written_leaves_what_was_there(package, models, monkeypatch):
    publish_package(package, [str(models)], Gate())
    before = packing.package_digest(models / "bright")

    def full(archive, folder):
        folder.mkdir()
        (folder / "mlm.json").write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "unpack", full)
    with pytest.raises(OSError, match="No space left"):
        publish_package(package, [str(models)], Gate())
    assert packing.package_digest(models / "bright") == before
    assert names(models) == ["bright"]


def test_it_is_held_against_the_one_in_use(package, models, tmp_path):
    publish_package(package, [str(models)], Gate(evaluation=evaluation(tmp_path, 0.5)))
    assert names(models) == ["bright", "bright.evaluation.json"]
    worse, better = evaluation(tmp_path, 0.4), evaluation(tmp_path, 0.6)

    with pytest.raises(PackageError, match="below the package in use"):
        publish_package(package, [str(models)], Gate(evaluation=worse))
    with pytest.raises(InputError, match="evaluation of the package in use"):
        publish_package(package, [str(models)], Gate())
    found = publish_package(package, [str(models)], Gate(evaluation=better))
    assert "passed" in found.gates[0]
    publish_package(package, [str(models)], Gate(evaluation=worse, tolerance=0.25))
    publish_package(package, [str(models)], Gate(evaluation=worse, closed=False))
    kept = Evaluation.from_json(json.loads((models / "bright.evaluation.json").read_text()))
    assert kept.figures["AP"] == 0.4


def test_an_evaluation_that_is_not_there(package, models, tmp_path):
    with pytest.raises(InputError, match="no evaluation at"):
        publish_package(package, [str(models)], Gate(evaluation=tmp_path / "absent.json"))
    assert names(models) == []


@pytest.mark.enable_socket
def test_an_evaluation_lies_beside_its_archive(package, http_bucket, tmp_path):
    place = f"{http_bucket}/gated"

    publish_package(package, [place], Gate(evaluation=evaluation(tmp_path, 0.5)))

    assert storage.exists(f"{place}/bright/evaluation.json")
    with pytest.raises(PackageError, match="below the package in use"):
        publish_package(package, [place], Gate(evaluation=evaluation(tmp_path, 0.1)))
