"""The job as SageMaker runs it: folders in, folders out, an exit code and a message."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
from shapely import box

from sagemaker_jobs.evaluate_model import __main__ as evaluate_model
from sagemaker_jobs.evaluate_model.__main__ import main
from swath.errors.exit_codes import JobExit
from swath.models.packing import pack
from tests.helpers.labeled import around, dots, write_coco
from tests.helpers.rasters import NORTH_UP, UTM

PLACES = [(5, 5), (40, 40), (80, 20)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(make_scene, package, tmp_path):
    """The folder that is `/opt/ml` for the job."""
    given = tmp_path / "ml" / "processing" / "input"
    for name in ("model", "labels", "images"):
        (given / name).mkdir(parents=True)
    Path(make_scene(dots(PLACES))).rename(given / "images" / "scene.tif")
    write_coco(given / "labels" / "labels.json", [("scene.tif", around(PLACES))])
    pack(package, given / "model" / "model.tar.gz")
    return tmp_path / "ml"


def message(root):
    return (root / "output" / "message").read_text()


def output(root, name):
    return json.loads((root / "processing" / "output" / name).read_text())


def test_a_package_is_measured(root):
    assert main([], root) == JobExit.DONE

    assert output(root, "evaluation.json")["metrics"]["AP"] == 1
    assert (root / "processing" / "output" / "report.html").is_file()
    assert message(root).startswith("passed")


def test_a_package_that_is_not_packed(root, package):
    (root / "processing/input/model/model.tar.gz").unlink()
    (root / "processing/input/model").rmdir()
    package.rename(root / "processing/input/model")

    assert main(["--fail-below", "AP=1"], root) == JobExit.DONE


def test_a_metric_below_its_gate_fails_the_job_with_the_reason(root):
    assert main(["--fail-below", "AP=1.2"], root) == JobExit.REFUSED

    assert message(root) == "refused: AP is 1.0000, 0.2000 below 1.2000"
    assert not output(root, "verdict.json")["passed"]


def test_against_a_package_and_against_its_evaluation(root, package):
    in_use = root / "processing/input/in_use"
    in_use.mkdir()
    pack(package, in_use / "model.tar.gz")

    assert main([], root) == JobExit.DONE
    assert output(root, "verdict.json")["compared"] == ["AP", "AP50", "best_F1"]

    (root / "processing/output/in-use/evaluation.json").rename(in_use / "evaluation.json")
    assert main([], root) == JobExit.DONE
    assert output(root, "verdict.json")["compared"] == ["AP", "AP50", "best_F1"]


def test_no_package(root):
    (root / "processing/input/model/model.tar.gz").unlink()

    assert main([], root) == JobExit.INPUT
    assert "give the job one package" in message(root)


def test_labels_that_lie_with_the_images(root):
    given = root / "processing" / "input"
    (given / "labels" / "labels.json").rename(given / "images" / "labels.json")
    (given / "labels").rmdir()

    assert main([], root) == JobExit.DONE
    assert output(root, "evaluation.json")["collection"]["objects"] == 3


def test_labels_of_one_file_a_scene(root):
    labels = root / "processing" / "input" / "labels"
    images = root / "processing" / "input" / "images"
    (labels / "labels.json").unlink()
    shutil.copy(images / "scene.tif", images / "elsewhere.tif")
    with rasterio.open(images / "elsewhere.tif", "r+") as elsewhere:
        elsewhere.update_tags(TAKEN="a day later")
    for name in ("scene", "elsewhere"):
        (labels / f"{name}.geojson").write_text(geojson(around(PLACES[:2])))

    assert main(["--format", "geojson", "--classes", "dot"], root) == JobExit.DONE

    evaluation = output(root, "evaluation.json")
    assert (evaluation["collection"]["scenes"], evaluation["collection"]["objects"]) == (2, 4)
    assert evaluation["metrics"]["precision"] == pytest.approx(2 / 3)


def test_a_class_of_the_labels_can_be_one_of_the_model(root):
    path = root / "processing" / "input" / "labels" / "labels.json"
    content = json.loads(path.read_text())
    content["categories"][0]["name"] = "vessel"
    path.write_text(json.dumps(content))

    assert main(["--map", "vessel=dot"], root) == JobExit.DONE
    assert output(root, "evaluation.json")["metrics"]["AP"] == 1
    assert main(["--map", "vessel=dots"], root) == JobExit.INPUT


def geojson(boxes):
    """Boxes in px as polygons in the CRS of the scene, without a class."""
    corners = [[NORTH_UP @ (x, y) for x, y in outline.exterior.coords] for outline in box(*boxes.T)]
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for ring in corners
    ]
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{UTM.replace(':', '::')}"}}
    return json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})


def test_several_packages(root, package):
    pack(package, root / "processing" / "input" / "model" / "other.tar.gz")

    assert main([], root) == JobExit.INPUT
    assert "['model.tar.gz', 'other.tar.gz']" in message(root)


def test_a_form_that_labels_do_not_have(root):
    assert main(["--format", "text"], root) == JobExit.INPUT
    assert "there is no label format 'text'" in message(root)


def test_a_message_is_cut_at_a_kilobyte_and_stays_text(root):
    assert main(["--fail-below", "é" * 2000], root) == JobExit.INPUT

    assert 1000 < len((root / "output" / "message").read_bytes()) <= 1024
    assert "ééé" in message(root)


def test_an_error_that_swath_does_not_know_is_left_too(root):
    (root / "processing" / "output").parent.mkdir(parents=True, exist_ok=True)
    (root / "processing" / "output").write_text("a file where SageMaker has a folder")

    assert main([], root) == JobExit.BUG
    assert message(root).startswith("FileExistsError: ")


def test_a_command_line_that_cannot_be_used(root):
    with pytest.raises(SystemExit) as stopped:
        main(["--tolerance", "much"], root)

    assert stopped.value.code == JobExit.USAGE


def test_the_program_starts():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-m", "sagemaker_jobs.evaluate_model", "--help"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "--fail-below" in done.stdout


def test_progress_is_logged_at_each_tenth(caplog):
    caplog.set_level("INFO")
    tell = evaluate_model._TenthsLogger()

    for scene in ("a.tif", "b.tif"):
        for done in range(1001):
            tell(scene, done, 1000)
    tell("empty.tif", 0, 0)

    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == ["a.tif: 0 of 1000 tiles", "a.tif: 100 of 1000 tiles"]
    assert len(said) == 2 * 11 + 1
