"""Tests of commands whose model never returns: one error line, and a summary that says so."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.helpers.packages import endless, write_package

SAID = "in 5 s: the network may contain an infinite loop"


class Endless(torch.nn.Module):
    """A model whose loop depends on the pixels, so that no optimizer can compute it beforehand."""

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        while bool(tiles.sum() > -1):
            tiles = tiles.abs()
        return tiles


def run_swath(*arguments):
    environment = {**os.environ, "SWATH_MODEL_SECONDS": "5"}
    command = [sys.executable, "-m", "swath", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def script(tmp_path):
    """Write a package whose TorchScript model never returns."""
    folder = write_package(tmp_path / "script")
    (folder / "model.onnx").unlink()
    with pytest.deprecated_call():
        torch.jit.script(Endless()).save(folder / "model.pt")
    item = json.loads((folder / "mlm.json").read_text())
    item["assets"] = {"torch": {"href": "model.pt", "roles": ["mlm:model"]}}
    (folder / "mlm.json").write_text(json.dumps(item))
    return folder


def test_a_run_says_so_in_its_summary_too(script, make_scene, tmp_path):
    scene = make_scene(np.zeros((1, 40, 40), np.uint8))

    done = run_swath("run", scene, "--model", script, "--out", tmp_path / "out")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {script}/model.pt has not been loaded {SAID}")
    assert done.stderr.count("\n") == 1
    (summary,) = (tmp_path / "out").iterdir()
    said = json.loads(summary.read_text())
    assert (said["status"], f"error: {said['cause']}\n") == ("failed", done.stderr)


def test_a_check_and_an_init_say_so(tmp_path):
    package = write_package(tmp_path / "endless", weights=endless())

    for arguments in (
        ("check", package),
        (
            "init",
            package / "model.onnx",
            "--from",
            "ultralytics",
            "--bands",
            "gray",
            "--out",
            tmp_path / "made",
        ),
    ):
        done = run_swath("model", *arguments)

        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith(f"error: {package}/model.onnx has not answered {SAID}")
        assert done.stderr.count("\n") == 1
