import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from batch_jobs.infer_shard import __main__ as module
from batch_jobs.infer_shard.__main__ import ARRAY_INDEX, Exit, main
from swath import inference
from swath.errors import ModelOutputError, TransientError
from swath.storage import RunPaths
from tests.runs import receipt_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def signals():
    """The process's own answer to SIGTERM, put back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def plan_uri(make_plan, make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5] = 81
    return make_plan(make_scene(pixels), shard_tiles=20)


def receipts(plan_uri):
    return [index for index in range(2) if receipt_of(plan_uri, index)]


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [([], {}, 0), ([], {ARRAY_INDEX: "1"}, 1), (["--index", "1"], {ARRAY_INDEX: "0"}, 1)],
)
def test_which_shard(plan_uri, arguments, env, expected):
    assert main(["--plan-uri", plan_uri, *arguments], env) == Exit.DONE
    assert receipts(plan_uri) == [expected]


@pytest.mark.parametrize(
    ("error", "code"), [(ModelOutputError("x"), Exit.BUG), (TransientError("x"), Exit.TRANSIENT)]
)
def test_the_exit_code_says_whether_again_would_help(monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(module, "run_shard", fail)

    assert main(["--plan-uri", "x"], {}) == code


def test_a_host_that_is_reclaimed_leaves_a_shard_that_goes_on(plan_uri, monkeypatch):
    def interrupted(uri, index, *, stop):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(uri, index, stop=stop)

    real = module.run_shard
    monkeypatch.setattr(module, "run_shard", interrupted)
    monkeypatch.setattr(inference, "TOGETHER", 1)  # the shard has but eight tiles

    assert main(["--plan-uri", plan_uri], {}) == Exit.INTERRUPTED
    assert receipts(plan_uri) == []
    assert Path(RunPaths.of_plan(plan_uri).partial(0)).is_file()

    monkeypatch.setattr(module, "run_shard", real)
    assert main(["--plan-uri", plan_uri], {}) == Exit.DONE
    assert receipt_of(plan_uri, 0).tiles.succeeded == 8


def test_the_process_ends_with_the_code(plan_uri, tmp_path):
    command = [sys.executable, "-m", "batch_jobs.infer_shard", "--plan-uri"]
    env = {**os.environ, ARRAY_INDEX: "1"}

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    done = run(plan_uri)
    (tmp_path / "scene.tif").unlink()
    refused, wrong = run(plan_uri, "--index", "0"), run()

    assert done.returncode == Exit.DONE
    assert "shard done" in done.stderr
    assert refused.returncode == Exit.DONE
    assert "no scene at" in refused.stderr
    assert "Traceback" not in refused.stderr
    receipt = receipt_of(plan_uri, 0)
    assert receipt.tiles.failed == receipt.tiles.planned == 8
    assert "no scene at" in receipt.failures[0].cause
    assert wrong.returncode == Exit.USAGE
