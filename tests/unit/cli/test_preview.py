"""Tests of `swath preview`: the scene that it opens, and its messages."""

import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from swath.cli import EXIT_INPUT, app


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("SWATH_DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def scene(make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5] = 81
    return make_scene(pixels)


@pytest.fixture
def run(invoke, scene, package, tmp_path):
    assert invoke("run", scene, "--model", package, "--out", tmp_path / "run").exit_code == 0
    return tmp_path / "run"


def test_the_scene_of_the_run_is_drawn(invoke, run, tmp_path):
    target = tmp_path / "out.png"
    result = invoke("preview", run, "--out-file", target)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"1 detections, 1 of them drawn: {target}\n"
    with Image.open(target) as picture:
        assert picture.size[0] > 1200


def test_a_scene_that_moved_is_named_by_the_user(invoke, run, scene, tmp_path):
    moved = tmp_path / "moved.tif"
    shutil.move(scene, moved)

    refused = invoke("preview", run, "--out-file", tmp_path / "out.png")
    result = invoke("preview", run, "--out-file", tmp_path / "out.png", "--scene-uri", moved)

    assert refused.exit_code == EXIT_INPUT
    assert "name the scene's present address with --scene" in refused.stderr
    assert result.exit_code == 0, result.stderr


def test_an_existing_picture_is_refused_unless_it_may_be_replaced(invoke, run, tmp_path):
    target = tmp_path / "out.png"
    target.write_text("mine")
    result = invoke("preview", run, "--out-file", target)
    assert result.exit_code == EXIT_INPUT
    assert "out.png exists" in result.stderr
    assert target.read_text() == "mine"
    assert invoke("preview", run, "--out-file", target, "--replace").exit_code == 0


def test_a_folder_without_a_run_is_refused(invoke, tmp_path):
    result = invoke("preview", tmp_path / "nothing", "--out-file", tmp_path / "out.png")
    assert result.exit_code == EXIT_INPUT
    assert "there are no detections in" in result.stderr
