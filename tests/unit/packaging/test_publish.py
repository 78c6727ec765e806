import json
from datetime import UTC, datetime

import pytest

from swath import storage
from swath.errors import InputError, PackageError
from swath.evaluation.results import Evaluation
from swath.models import packing
from swath.models.package import load_package
from swath.packaging.publish import Gate, publish_package
from tests.helpers.packages import bright_pixels, write_package


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def another(folder, title="newer"):
    """Write a package with the same name and another digest."""
    return write_package(folder, lambda item: item["properties"].update({"title": title}))


def evaluation(folder, ap, *, of, collection="c"):
    """Write an `evaluation.json` of the package `of` with the given AP."""
    text = {
        "package": {
            "name": "bright",
            "digest": packing.package_digest(of),
            "task": "detection",
            "tile_size": 16,
            "overlap": 4,
            "score_threshold": 0.5,
            "reported_from": 0.01,
        },
        "collection": {"digest": collection, "scenes": 1, "objects": 1, "classes": ["dot"]},
        "conditions": {"compared": "boxes", "score_floor": 0.01},
        "metrics": {"AP": ap, "AP50": ap, "best_F1": ap},
        "classes": [],
        "scenes": [],
        "curve": {"score": [], "precision": [], "recall": [], "f1": []},
        "confusion": [],
    }
    path = folder / f"evaluation-{of.name}-{ap}.json"
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
    other = another(tmp_path / "other")
    (models / "bright" / "stale.txt").write_text("of the one before")

    found = publish_package(other, [str(models)], Gate(is_required=False))

    assert names(models) == ["bright"]
    assert names(models / "bright") == ["mlm.json", "model.onnx"]
    assert load_package(models / "bright").digest == found.digest


@pytest.mark.enable_socket
def test_it_goes_into_buckets_as_an_archive(package, models, http_bucket):
    places = [f"{http_bucket}/models", f"{http_bucket}/exact/ship.tar.gz", str(models)]

    found = publish_package(package, places, Gate())

    assert found.destinations[:2] == (f"{http_bucket}/models/bright/model.tar.gz", places[1])
    for place in found.destinations:
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
    new = another(tmp_path / "new")
    measured = evaluation(tmp_path, 0.5, of=package)
    publish_package(package, [str(models)], Gate(evaluation=measured))
    assert names(models) == ["bright", "bright.evaluation.json"]
    worse, better = evaluation(tmp_path, 0.4, of=new), evaluation(tmp_path, 0.6, of=new)

    with pytest.raises(PackageError, match="below the package in use"):
        publish_package(new, [str(models)], Gate(evaluation=worse))
    with pytest.raises(InputError, match="an evaluation of the new package is missing"):
        publish_package(new, [str(models)], Gate())
    found = publish_package(new, [str(models)], Gate(evaluation=better))
    assert "passed" in found.gates[0]
    publish_package(package, [str(models)], Gate(evaluation=measured, tolerance=0.25))
    publish_package(new, [str(models)], Gate(evaluation=worse, is_required=False))
    kept = Evaluation.from_json(json.loads((models / "bright.evaluation.json").read_text()))
    assert kept.metrics["AP"] == 0.4


@pytest.mark.enable_socket
@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_another_package_is_replaced_only_after_a_comparison(
    package, models, tmp_path, http_bucket, where
):
    to = str(models) if where == "folder" else f"{http_bucket}/{models.name}"
    place = publish_package(package, [to], Gate()).destinations[0]
    held, today = packing.package_digest(package), f"{datetime.now(UTC):%Y-%m}"
    new = another(tmp_path / "new")

    said = rf"{place} holds bright {held[:12]}, written {today}.*--val-labels.*--no-gate"
    for gate in (Gate(), Gate(evaluation=evaluation(tmp_path, 0.9, of=new))):
        with pytest.raises(InputError, match=said):
            publish_package(new, [to], gate)
    assert load_package(place).digest == held

    assert "already holds this package" in publish_package(package, [to], Gate()).gates[0]
    found = publish_package(new, [to], Gate(is_required=False))
    assert found.replaced[0].startswith(f"{place}: replaced bright {held[:12]}, written {today}")
    assert load_package(place).digest == packing.package_digest(new)


def test_one_of_several_places_that_cannot_be_compared_changes_none(package, models, tmp_path):
    (tmp_path / "second").mkdir()
    publish_package(package, [str(models)], Gate())

    with pytest.raises(InputError, match="cannot be compared with the new package"):
        publish_package(another(tmp_path / "new"), [str(tmp_path / "second"), str(models)], Gate())
    assert names(tmp_path / "second") == []


def test_an_evaluation_of_another_package_compares_nothing(package, models, tmp_path):
    """Check an evaluation that is given, and one beside the package in use."""
    new, newer = another(tmp_path / "new"), another(tmp_path / "newer", "newest")
    publish_package(package, [str(models)], Gate(evaluation=evaluation(tmp_path, 0.5, of=package)))

    with pytest.raises(InputError, match="give the evaluation of this package"):
        publish_package(new, [str(models)], Gate(evaluation=evaluation(tmp_path, 0.9, of=package)))
    publish_package(new, [str(models)], Gate(is_required=False))
    with pytest.raises(InputError, match="its own evaluation is missing"):
        publish_package(newer, [str(models)], Gate(evaluation=evaluation(tmp_path, 0.9, of=newer)))


def test_what_is_no_package_is_not_replaced_unasked(package, models):
    (models / "bright").mkdir()
    (models / "bright" / "notes.txt").write_text("mine")

    with pytest.raises(InputError, match="holds content that is not a package"):
        publish_package(package, [str(models)], Gate())
    assert names(models / "bright") == ["notes.txt"]


def test_an_evaluation_that_is_not_there(package, models, tmp_path):
    with pytest.raises(InputError, match=r"the evaluation .* does not exist"):
        publish_package(package, [str(models)], Gate(evaluation=tmp_path / "absent.json"))
    assert names(models) == []


@pytest.mark.enable_socket
def test_an_evaluation_lies_beside_its_archive(package, http_bucket, tmp_path):
    place, new = f"{http_bucket}/gated", another(tmp_path / "new")

    publish_package(package, [place], Gate(evaluation=evaluation(tmp_path, 0.5, of=package)))

    assert storage.exists(f"{place}/bright/evaluation.json")
    with pytest.raises(PackageError, match="below the package in use"):
        publish_package(new, [place], Gate(evaluation=evaluation(tmp_path, 0.1, of=new)))
