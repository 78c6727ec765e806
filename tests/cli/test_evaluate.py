import json

import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_FAILED, EXIT_INPUT, app
from tests.labelled import around, dots, write_coco

PLACES = [(5, 5), (40, 40), (80, 20)]


@pytest.fixture
def labels(make_scene, tmp_path):
    make_scene(dots(PLACES))
    return write_coco(tmp_path / "labels.json", [("scene.tif", around(PLACES))])


@pytest.fixture
def run(package, labels, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    given = ["evaluate", package, labels, tmp_path, "--out", tmp_path / "out"]
    return lambda *more: CliRunner().invoke(app, [str(part) for part in (*given, *more)])


def test_an_evaluation(run, tmp_path):
    result = run()

    assert result.exit_code == 0
    assert "AP50" in result.stdout
    assert f"report: {tmp_path / 'out' / 'report.html'}" in result.stdout
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["figures"]["AP"] == 1


def test_what_falls_below_is_refused(run):
    result = run("--fail-below", "AP=1.5", "--fail-below", "recall=0.5")

    assert result.exit_code == EXIT_FAILED
    assert result.stderr == "error: refused: AP is 1.0000, 0.5000 below 1.5000\n"


def test_against_the_package_in_use(run, package, tmp_path):
    assert run("--against", package).exit_code == 0
    assert run("--against", tmp_path / "out" / "in-use" / "evaluation.json").exit_code == 0


def test_what_cannot_be_used(run):
    result = run("--fail-below", "speed=1")

    assert result.exit_code == EXIT_INPUT
    assert "has no figure speed" in result.stderr
