"""Tests of models that never return: ONNX Runtime gives up, and otherwise the process ends."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from swath.detection.engine import Inference
from swath.errors import ModelTimeoutError, SettingsError
from swath.models.package import load_package
from swath.models.runtimes import onnx
from swath.models.runtimes.time_limit import UNLIMITED, TimeLimit
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.packages import TILE, endless, write_package


@pytest.fixture
def stuck(tmp_path, monkeypatch):
    """Return a package whose model never returns, and the model, with a limit of 0.1 s."""
    monkeypatch.setenv("SWATH_MODEL_SECONDS", "0.1")
    package = load_package(write_package(tmp_path / "endless", weights=endless()))
    (weights,) = package.weights
    return package, onnx.load(weights, package.description)


def test_onnx_runtime_gives_up(stuck, capfd):
    _, model = stuck

    with pytest.raises(ModelTimeoutError) as caught:
        model([np.zeros((1, TILE, TILE), np.uint8)])

    assert str(caught.value).endswith(
        "endless/model.onnx has not answered in 0.1 s: the network may contain an infinite loop; "
        "export it again, or set SWATH_MODEL_SECONDS to wait longer"
    )
    assert capfd.readouterr().err == ""


def test_a_run_is_not_kept_by_one_tile_after_another(stuck, make_scene):
    package, model = stuck
    with open_scene(make_scene(np.zeros((1, 90, 90), np.uint8))) as scene:
        inference = Inference(
            scene=scene,
            bands=[1],
            grid=Grid(90, 90, TILE, 4),
            description=package.description,
            model=model,
        )
        with pytest.raises(ModelTimeoutError):
            list(inference.run(range(inference.grid.count)))


def test_what_is_in_time_is_left_alone(tmp_path):
    limit = TimeLimit(tmp_path, 600)
    stopped = threading.Event()

    for watching in (limit, UNLIMITED):
        with watching.watch("answered", stopped.set):
            pass
    with pytest.raises(ZeroDivisionError), limit.watch("answered", stopped.set):
        _ = 1 / 0

    assert not stopped.is_set()


def test_what_has_a_compiler_run_may_take_longer(tmp_path, monkeypatch):
    monkeypatch.setenv("SWATH_MODEL_SECONDS", "7")

    assert TimeLimit.from_env(tmp_path, "torch").seconds == 7
    assert (
        TimeLimit.from_env(tmp_path, "tensorrt").seconds
        == TimeLimit.from_env(tmp_path, "compiled").seconds
    )
    assert TimeLimit.from_env(tmp_path, "tensorrt").seconds == 70


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon"])
def test_the_limit_is_a_number_of_seconds(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SWATH_MODEL_SECONDS", text)

    with pytest.raises(SettingsError, match="SWATH_MODEL_SECONDS"):
        TimeLimit.from_env(tmp_path)


def test_what_cannot_be_stopped_ends_the_process_after_its_callbacks():
    """Check a thread that never ends, as in torch: it would keep the process from ending."""
    code = """if True:
        import threading
        from pathlib import Path
        from swath.models.runtimes.time_limit import TimeLimit, before_forced_exit

        def last(error):
            print("said", type(error).__name__, flush=True)
            return 70

        def broken(error):
            raise OSError("no matter")

        limit = TimeLimit(Path("m.pt"), 0.1)
        with before_forced_exit(last), before_forced_exit(broken), limit.watch("answered"):
            threading.Event().wait()
    """

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (70, b"said ModelTimeoutError\n")
    assert done.stderr.startswith(b"error: m.pt has not answered in 0.1 s: ")
    assert done.stderr.count(b"\n") == 1
