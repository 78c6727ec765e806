import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_FAILED, EXIT_INPUT, app


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("SWATH_DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["run", *map(str, arguments)])


@pytest.fixture
def scene(make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5] = 81
    return make_scene(pixels)


def test_a_run(run, scene, package, tmp_path):
    result = run(scene, "--model", package, "--out", tmp_path / "out")

    assert result.exit_code == 0
    assert "1 detections in 40 tiles (0 skipped, 0 failed)" in result.stdout
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "succeeded"


def test_the_files_are_named_in_the_formats_asked_for(run, scene, package, tmp_path):
    out = tmp_path / "out"

    result = run(
        scene, "--model", package, "--out", out, "--format", "fgb", "--format", "parquet",
        "--format", "gpkg", "--format", "gpkg",
    )  # fmt: skip

    assert result.exit_code == 0
    files = ["detections.parquet", "detections.gpkg", "detections.fgb"]
    assert result.stdout.endswith(f": {', '.join(str(out / name) for name in files)}\n")
    assert sorted(path.name for path in out.iterdir()) == sorted([*files, "summary.json"])


def test_a_format_that_there_is_not_is_refused(run, scene, package, tmp_path):
    result = run(scene, "--model", package, "--out", tmp_path / "out", "--format", "shp")

    assert result.exit_code == EXIT_INPUT
    assert "'--format': 'shp' is not one of 'parquet', 'gpkg', 'geojson', 'fgb'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_used_is_told_in_one_line(run, package, tmp_path):
    result = run(tmp_path / "absent.tif", "--model", package, "--out", tmp_path / "out")

    assert result.exit_code == EXIT_INPUT
    line = f"error: there is no scene at {tmp_path / 'absent.tif'}; check the address\n"
    assert result.stderr == line


def test_a_run_that_fails_has_another_code(run, make_scene, package, tmp_path):
    scene = make_scene(np.full((1, 16, 16), -1, np.int16))

    result = run(scene, "--model", package, "--out", tmp_path / "out")

    assert result.exit_code == EXIT_FAILED
    assert result.stderr.startswith("error: 1 of 1 tiles failed")
    assert len(result.stderr.splitlines()) == 1


def test_failures_can_be_tolerated(run, make_scene, package, tmp_path):
    scene = make_scene(np.full((1, 16, 16), -1, np.int16))

    result = run(scene, "--model", package, "--out", tmp_path / "out", "--tolerated-failures", "1")

    assert result.exit_code == 0


def test_scores_below_a_threshold_are_not_reported(run, make_scene, package, tmp_path):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5], pixels[0, 50, 90] = 81, 64
    given = (make_scene(pixels), "--model", package, "--out", tmp_path / "out")

    result = run(*given, "--score-threshold", "0.85")

    assert result.exit_code == 0
    assert result.stdout.startswith("1 detections in 40 tiles")

    low = run(*given, "--score-threshold", "0.1")

    assert low.exit_code == EXIT_INPUT
    assert "which reports scores from 0.5 on; give 0.5 or more" in low.stderr


def test_the_database_is_an_option_or_a_variable(run, scene, package, tmp_path, dsn, monkeypatch):
    monkeypatch.setenv("SWATH_DATABASE_URL", dsn)

    assert run(scene, "--model", package, "--out", tmp_path / "out").exit_code == 0
    assert "load" in json.loads((tmp_path / "out" / "summary.json").read_text())["seconds"]


def test_help_imports_none_of_the_heavy_parts():
    code = (
        "import sys; from swath.cli import app\n"
        "print([m for m in ('rasterio', 'onnxruntime', 'pyarrow', 'torch') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"
