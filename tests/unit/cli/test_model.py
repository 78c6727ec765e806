import json
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_FAILED, EXIT_INPUT, app
from swath.errors import PackageError
from swath.models import packing
from swath.models.package import load_package
from swath.packaging import check
from tests.helpers.exports import centers, checkpoint, export, ultralytics_notes
from tests.helpers.packages import bright_pixels, write_package


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(app, ["model", *map(str, arguments)])


def test_from_an_export_to_the_models_that_are_deployed(model, tmp_path):
    path = export(
        tmp_path / "best.onnx",
        {"output0": ["batch", 5, 84]},
        form={"output0": centers(1)},
        metadata=ultralytics_notes("detect", ["ship"]),
    )
    made = tmp_path / "boats"

    result = model(
        "init",
        path,
        "--from",
        "ultralytics",
        "--bands",
        "red, green,blue",
        "--out",
        made,
        "--set",
        "score_threshold=0.4",
    )
    assert result.exit_code == 0, result.output
    assert "assumed: pixels are divided by 255" in result.stdout

    result = model("check", made)
    assert result.exit_code == 0
    assert "passed" in result.stdout

    result = model("show", made)
    assert result.exit_code == 0
    for text in ("boats", "YOLO11n", "band green", "scale value 255", "ship", "0.4", "AGPL-3.0"):
        assert text in result.stdout

    result = model("publish", made, "--to", tmp_path / "models")
    assert result.exit_code == 0
    assert (tmp_path / "models" / "boats" / "mlm.json").is_file()


def test_a_package_that_fails_its_check_has_a_code_of_its_own(model, tmp_path):
    def change(item):
        item["properties"]["mlm:output"][0]["result"]["shape"] = [-1, 5, 9]

    folder = write_package(tmp_path / "bad", change, weights=bright_pixels())

    result = model("check", folder)

    assert result.exit_code == EXIT_FAILED
    assert "failed" in result.stdout
    assert "mlm:output describes [5, 9]" in result.stderr


def test_what_is_no_package_is_the_users_fault(model, tmp_path):
    result = model("check", tmp_path / "absent")

    assert result.exit_code == EXIT_INPUT
    line = f"error: the model package {tmp_path / 'absent'} does not exist; check the address\n"
    assert result.stderr == line


def test_a_checkpoint_is_told_with_the_command_to_run(model, tmp_path):
    path = checkpoint(tmp_path / "best.pt")

    result = model("init", path, "--from", "ultralytics", "--bands", "a", "--out", tmp_path / "x")

    assert result.exit_code == EXIT_INPUT
    assert "yolo export model=best.pt format=onnx" in result.stderr


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--set", "head"], "write --set name=value"),
        (["--scaling", "half"], "'half' is unknown"),
        (
            ["--set", "score_treshold=0.4"],
            "'score_treshold' does not exist: did you mean score_threshold?",
        ),
        (["--set", "iou=0.4"], "'iou' does not exist: did you mean"),
        (["--set", "zzz=0.4"], "'zzz' does not exist: choose one of overlap, tile_size"),
    ],
)
def test_options_that_mean_nothing(model, tmp_path, more, reason):
    path = export(tmp_path / "m.onnx", {"rows": ["batch", 5, 84]})
    options = ["--from", "swath", "--bands", "a,b,c", "--classes", "ship", "--out", tmp_path / "x"]

    result = model("init", path, *options, *more)

    assert result.exit_code == EXIT_INPUT
    assert reason in result.stderr


def test_a_package_that_finds_less_on_labeled_scenes_is_not_published(
    model, trained, squares, tmp_path
):
    good, worse, models = trained.folder / "package", tmp_path / "worse", tmp_path / "models"
    data = ["--val-labels", squares / "val.json", "--val-scenes", squares / "scenes"]
    shutil.copytree(good, worse)
    item = json.loads((worse / "mlm.json").read_text())
    for scaling in item["properties"]["mlm:input"][0]["value_scaling"]:
        scaling["mean"] += 3 * scaling["stddev"]
    (worse / "mlm.json").write_text(json.dumps(item))

    first = model("publish", good, "--to", models, *data)
    assert first.exit_code == 0, first.output
    digest = load_package(models / "squares").digest
    refused = model("publish", worse, "--to", models, *data)

    assert refused.exit_code != 0
    assert "not published, because it scores below the package in use" in refused.stderr
    assert re.search(r"AP50 is 0\.\d+, 0\.\d+ below [01]\.\d+", refused.stderr)
    assert load_package(models / "squares").digest == digest
    again = model("publish", good, "--to", models, *data)
    assert "passed: AP, AP50, best_F1" in again.stdout


def test_labels_need_their_scenes(model, package, tmp_path):
    result = model("publish", package, "--to", tmp_path / "models", "--val-labels", "a.json")

    assert result.exit_code == EXIT_INPUT
    assert "--val-scenes" in result.stderr


def test_a_smaller_package(model, tmp_path, make_scene):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 80, 80)).astype(np.uint8)
    scene = make_scene(pixels, names=("red", "green", "blue"))
    path = export(tmp_path / "m.onnx", {"rows": ["batch", 5, 84]}, form={"rows": centers(1)})
    options = ["--from", "swath", "--bands", "red,green,blue", "--classes", "ship"]
    options += ["--set", "score_threshold=0.1"]
    model("init", path, *options, "--scaling", "255", "--out", tmp_path / "m")

    result = model(
        "optimize",
        tmp_path / "m",
        "--out",
        tmp_path / "half",
        "--precision",
        "float16",
        "--scene",
        scene,
        "--max-loss",
        "1",
    )

    assert result.exit_code == 0, result.output
    assert "agreement on" in result.stdout
    assert model("check", tmp_path / "half").exit_code == 0


def test_help_imports_none_of_the_heavy_parts():
    code = (
        "import sys; from swath.cli import model\n"
        "print([m for m in ('rasterio', 'onnxruntime', 'onnx', 'torch') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


@pytest.fixture
def lights(make_scene):
    """Return scenes of one band, each with other brightness."""
    rng = np.random.default_rng(0)
    return [
        make_scene(rng.gamma(3, 300 + 40 * n, (1, 280, 300)).astype(np.uint16), name=f"{n}.tif")
        for n in range(4)
    ]


def test_a_package_is_given_its_unit_and_statistics(model, tmp_path, lights):
    folder = write_package(tmp_path / "known", weights=bright_pixels())
    scenes = [part for uri in lights for part in ("--scene", uri)]

    result = model("statistics", folder, *scenes, "--unit", "reflectance,0.0001,-0.1")

    assert result.exit_code == 0, result.output
    assert result.stdout == f"{folder}: statistics of 4 scenes and 1 bands\n"
    item = json.loads((folder / "mlm.json").read_text())
    (band,) = item["properties"]["bands"]
    assert band == {
        "name": "gray",
        "unit": "reflectance",
        "raster:scale": 0.0001,
        "raster:offset": -0.1,
    }
    assert "https://stac-extensions.github.io/raster/v2.0.0/schema.json" in item["stac_extensions"]
    known = load_package(folder).description
    assert (known.units[0].scale, known.units[0].offset) == (0.0001, -0.1)
    assert known.expected.scenes == 4
    text = model("show", folder).stdout
    assert "reflectance, scale 0.0001, offset -0.1" in text
    assert "of 4 scenes" in text

    again = model("statistics", folder, *scenes[:2])
    assert again.exit_code == 0
    known = load_package(folder).description
    assert (known.expected.scenes, known.units[0].name) == (1, "reflectance")


@pytest.mark.parametrize("unit", ["x,0", "x,nan", "x,1,inf", "x,y", "x,1,2,3"])
def test_what_is_no_unit_is_refused(model, tmp_path, lights, unit):
    folder = write_package(tmp_path / "known", weights=bright_pixels())
    before = (folder / "mlm.json").read_bytes()

    result = model("statistics", folder, "--scene", lights[0], "--unit", unit)

    assert result.exit_code == EXIT_INPUT
    assert f"{unit!r} is not a unit; write NAME, NAME,SCALE or" in result.stderr
    assert (folder / "mlm.json").read_bytes() == before


def test_units_are_for_all_bands_or_for_each(model, tmp_path, lights):
    folder = write_package(tmp_path / "known", weights=bright_pixels())

    result = model("statistics", folder, "--scene", lights[0], "--unit", "a", "--unit", "b")

    assert result.exit_code == EXIT_INPUT
    assert "2 units are given for 1 bands; give one for all, or one for each" in result.stderr


def test_scenes_that_are_too_small_for_statistics_are_said(model, tmp_path, make_scene):
    folder = write_package(tmp_path / "known", weights=bright_pixels())
    tiny = make_scene(np.ones((1, 9, 9), np.uint8))

    result = model("statistics", folder, "--scene", tiny)

    assert result.exit_code == EXIT_INPUT
    assert "none of the 1 scenes has enough valid pixels" in result.stderr


def test_an_export_is_given_its_unit_and_statistics(model, tmp_path, make_scene):
    path = export(
        tmp_path / "best.onnx",
        {"output0": ["batch", 5, 84]},
        metadata=ultralytics_notes("detect", ["ship"]),
    )
    rng = np.random.default_rng(0)
    scene = make_scene(
        rng.integers(1, 250, (3, 280, 300), np.uint8), names=("red", "green", "blue")
    )
    units = ("reflectance,0.01", "reflectance,0.02", "reflectance,0.03,1")

    result = model(
        *("init", path, "--from", "ultralytics", "--bands", "red,green,blue"),
        *("--out", tmp_path / "made", "--scene", scene),
        *(part for unit in units for part in ("--unit", unit)),
    )

    assert result.exit_code == 0, result.output
    known = load_package(tmp_path / "made").description
    assert [(one.scale, one.offset) for one in known.units] == [(0.01, 0), (0.02, 0), (0.03, 1)]
    assert known.expected.scenes == 1


@pytest.mark.parametrize("ending", ["well", "badly", "interrupted"])
def test_check_leaves_nothing_unpacked_behind(model, package, tmp_path, monkeypatch, ending):
    left = tmp_path / "tmp"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    packing.pack(package, tmp_path / "model.tar.gz")
    load, unpacked = check.load_model, []

    def interfered(*args, **options):
        unpacked.extend(path for path in left.rglob("*.onnx"))
        if ending == "badly":
            raise PackageError("it does not run")
        if ending == "interrupted":
            raise KeyboardInterrupt
        return load(*args, **options)

    monkeypatch.setattr(check, "load_model", interfered)

    code = model("check", str(tmp_path / "model.tar.gz")).exit_code

    assert (code == 0) == (ending == "well")
    assert unpacked
    assert not [path for path in left.rglob("*") if path.is_file()]
