import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from batch_jobs.infer_shard import __main__ as module
from batch_jobs.infer_shard.__main__ import ARRAY_INDEX, JOB_ID, main
from swath import storage
from swath.detection import engine
from swath.errors import ModelOutputError, NoGpuError, TransientError
from swath.errors.exit_codes import JobExit
from swath.pipeline.paths import RunPaths
from tests.helpers.runs import receipt_of

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
    assert main(["--plan-uri", plan_uri, *arguments], env) == JobExit.DONE
    assert receipts(plan_uri) == [expected]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelOutputError("x"), JobExit.FAILED),
        (NoGpuError("x"), JobExit.NO_GPU),
        (TransientError("x"), JobExit.TRANSIENT),
    ],
)
def test_the_exit_code_states_whether_a_retry_helps(monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(module, "run_shard", fail)

    assert main(["--plan-uri", "x"], {}) == code


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        (TransientError("S3 is away"), "TransientError", JobExit.TRANSIENT),
        (NoGpuError("none"), "NoGpuError", JobExit.NO_GPU),
        (OSError(28, "No space left on device"), "OSError", JobExit.BUG),
        (MemoryError(), "MemoryError", JobExit.BUG),
    ],
)
def test_a_job_that_fails_leaves_why(plan_uri, monkeypatch, error, name, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(module, "run_shard", fail)

    assert main(["--plan-uri", plan_uri], {JOB_ID: "job:3"}) == code
    left = storage.read_json(RunPaths.from_plan_uri(plan_uri).job_failure("job:3"))
    assert left == {"error": name, "cause": str(error) or name, "exit_code": code}


def test_a_job_that_cannot_leave_why_ends_all_the_same(plan_uri, monkeypatch):
    def fail(*_, **__):
        raise TransientError("S3 is away")

    monkeypatch.setattr(module, "run_shard", fail)
    monkeypatch.setattr(storage, "write_json", fail)

    assert main(["--plan-uri", plan_uri], {JOB_ID: "job:3"}) == JobExit.TRANSIENT


def test_a_job_that_is_done_leaves_no_failure(plan_uri):
    assert main(["--plan-uri", plan_uri], {JOB_ID: "job"}) == JobExit.DONE
    assert not storage.exists(RunPaths.from_plan_uri(plan_uri).job_failure("job"))


def test_a_host_that_is_reclaimed_leaves_a_shard_that_goes_on(plan_uri, monkeypatch):
    def interrupted(uri, index, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(uri, index, **options)

    real = module.run_shard
    monkeypatch.setattr(module, "run_shard", interrupted)
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)  # the shard has but eight tiles

    assert main(["--plan-uri", plan_uri], {}) == JobExit.INTERRUPTED
    assert receipts(plan_uri) == []
    assert Path(RunPaths.from_plan_uri(plan_uri).partial(0)).is_file()

    monkeypatch.setattr(module, "run_shard", real)
    assert main(["--plan-uri", plan_uri], {}) == JobExit.DONE
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
    env[ARRAY_INDEX] = "one"
    worded = run(plan_uri)

    assert done.returncode == JobExit.DONE
    assert "shard done" in done.stderr
    assert refused.returncode == JobExit.DONE
    assert "no scene at" in refused.stderr
    assert "Traceback" not in refused.stderr
    receipt = receipt_of(plan_uri, 0)
    assert receipt.tiles.failed == receipt.tiles.planned == 8
    assert "no scene at" in receipt.failures[0].cause
    assert wrong.returncode == worded.returncode == JobExit.USAGE
    assert "invalid int value: 'one'" in worded.stderr


@pytest.fixture
def large(make_plan, make_scene):
    """A shard of 1,000 tiles, each with an object."""
    pixels = np.zeros((1, 300, 480), np.int16)
    pixels[0, ::10, ::10] = 81
    return make_plan(make_scene(pixels))


@pytest.fixture
def held():
    """Starts a job whose log nobody reads beyond a line: once the pipe is full, it waits there."""
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            process = subprocess.Popen(
                [sys.executable, "-m", "batch_jobs.infer_shard", *arguments],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
            stack.callback(process.stderr.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
            line = b""
            while b"checkpoint before" not in line:
                line = process.stderr.readline()
                assert line, "the job ended"
            return process, int(line.split()[-1])

        yield start


def test_a_killed_job_resumes_from_its_last_checkpoint(large, held, caplog):
    process, kept = held("--plan-uri", large, "--keep-seconds", "0")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < kept < 1000
    assert receipt_of(large, 0) is None

    with caplog.at_level("INFO"):
        assert main(["--plan-uri", large], {}) == JobExit.DONE

    (went_on,) = [r.getMessage() for r in caplog.records if "resumes at tile" in r.getMessage()]
    assert kept <= int(went_on.split()[-1]) < 1000
    receipt = receipt_of(large, 0)
    assert receipt.tiles.succeeded == receipt.tiles.planned == 1000
    assert receipt.detections == 30 * 48


def test_a_job_that_cannot_end_in_time_ends_all_the_same(large, held):
    process, _ = held("--plan-uri", large, "--keep-seconds", "0", "--stop-seconds", "0.1")

    process.terminate()  # it waits for the log, and would do so for ever

    assert process.wait() == JobExit.INTERRUPTED


def test_a_host_whose_gpu_cannot_be_used_has_an_exit_code_of_its_own(plan_uri):
    done = subprocess.run(
        [sys.executable, "-m", "batch_jobs.infer_shard", "--plan-uri", plan_uri],
        cwd=ROOT,
        env=os.environ | {"SWATH_DEVICE": "cuda"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == JobExit.NO_GPU
    assert "SWATH_DEVICE is cuda, but no GPU can be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert receipts(plan_uri) == []
