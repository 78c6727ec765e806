"""The training job as SageMaker runs it: a process, folders, strings and signals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_jobs.train_model.__main__ import main
from sagemaker_jobs.train_model.folders import JobFolders
from swath.errors import InputError
from swath.errors.exit_codes import JobExit
from swath.models.package import load_package
from swath.models.runtimes import device
from swath.training.log_lines import METRIC_REGEXES
from tests.helpers.squares import OPTIONS, options

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def opt_ml(tmp_path, squares):
    """A stand-in for /opt/ml with the channels of a job, and the variables that point there."""
    channels = tmp_path / "input" / "data"
    shutil.copytree(squares / "scenes", channels / "images")
    for name, source in {"labels": "train.json", "val_labels": "val.json"}.items():
        (channels / name).mkdir()
        shutil.copy(squares / source, channels / name / "any_name.json")
    config = tmp_path / "input" / "config"
    config.mkdir()
    (config / "hyperparameters.json").write_text(
        json.dumps(OPTIONS | {"checkpoint_seconds": "0", "_tuning_objective_metric": "x"})
    )
    return tmp_path


def environment(opt_ml):
    return {
        "SM_INPUT_DIR": str(opt_ml / "input"),
        "SM_OUTPUT_DIR": str(opt_ml / "output"),
        "SM_MODEL_DIR": str(opt_ml / "model"),
        "SM_CHECKPOINT_DIR": str(opt_ml / "checkpoints"),
    }


def start(opt_ml):
    return subprocess.Popen(
        [sys.executable, "-m", "sagemaker_jobs.train_model", "train"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment(opt_ml) | {"PYTHONPATH": f"src{os.pathsep}."},
    )


def change(opt_ml, **hyperparameters):
    path = opt_ml / "input" / "config" / "hyperparameters.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | hyperparameters))


def metrics(opt_ml):
    return json.loads((opt_ml / "output" / "data" / "metrics.json").read_text())


def failure(opt_ml):
    return (opt_ml / "output" / "failure").read_text()


def test_a_spot_host_is_reclaimed_and_the_next_one_goes_on(opt_ml, trained):
    """SIGTERM leaves a checkpoint, the package so far and no failure.

    SageMaker keeps that package where the job was stopped, and drops it with a host that was
    reclaimed: the job that goes on ends as if undisturbed.
    """
    first = start(opt_ml)
    line = first.stdout.readline()
    first.send_signal(signal.SIGTERM)
    _, told = first.communicate()

    assert first.returncode == JobExit.INTERRUPTED, told
    (checkpoint,) = (opt_ml / "checkpoints").rglob("checkpoint.pt")
    # Another training of a search, with other options, shares the folder and not the checkpoint.
    assert checkpoint.parent.name == options().digest
    assert not (opt_ml / "output" / "failure").exists()
    assert load_package(opt_ml / "model").description.name == "squares"
    assert metrics(opt_ml)["ended"] == "stopped"
    shutil.rmtree(opt_ml / "model")
    assert re.search(METRIC_REGEXES["validation:ap50"], line)

    second = start(opt_ml)
    out, told = second.communicate()

    assert second.returncode == JobExit.DONE, told
    assert out.startswith("epoch=2; ")
    assert load_package(opt_ml / "model").description.name == "squares"
    onnx = opt_ml / "model" / "model.onnx"
    assert onnx.read_bytes() == (trained.folder / "package" / "model.onnx").read_bytes()
    left = {path.name for path in (opt_ml / "output" / "data").iterdir()}
    assert left == {"report.html", "metrics.json"}


def test_paid_hours_leave_a_package_and_another_launch_goes_on(opt_ml):
    few = {"epochs": "2", "network.channels": "[4,4]"}
    change(opt_ml, launch="one", minutes="1e-9", **few)
    assert main(["train"], environment(opt_ml)) == JobExit.DONE
    first = load_package(opt_ml / "model").digest
    assert metrics(opt_ml)["ended"] == "minutes"
    steps = metrics(opt_ml)["steps"]

    change(opt_ml, launch="two", minutes="60")
    assert main(["train"], environment(opt_ml)) == JobExit.DONE

    assert metrics(opt_ml)["ended"] == "epochs"
    assert metrics(opt_ml)["steps"] == 2 * 8 > steps
    assert load_package(opt_ml / "model").digest != first


@pytest.mark.parametrize(
    ("hyperparameters", "says"),
    [
        ({"epochs": "0"}, "InputError: epochs is '0': expected int >= 1"),
        ({"epoch": "1"}, "InputError: there is no option 'epoch'; did you mean epochs?"),
        ({"form": "voc"}, "InputError: form is 'voc'; choose one of auto, coco"),
        ({"classes": "ship"}, "LabelsError: "),
        ({"map": '{"vessel": "ship"}'}, "LabelsError: --map renames the class 'vessel', but "),
        ({"map": "vessel=ship"}, "InputError: map is 'vessel=ship': "),
    ],
)
def test_why_it_failed_is_left_for_the_jobs_description(opt_ml, hyperparameters, says):
    change(opt_ml, **hyperparameters)

    code = main(["train"], environment(opt_ml))

    assert code == JobExit.INPUT
    assert failure(opt_ml).startswith(says)


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_hyperparameters_that_are_no_json(opt_ml, text):
    (opt_ml / "input" / "config" / "hyperparameters.json").write_text(text)

    assert main(["train"], environment(opt_ml)) == JobExit.INPUT
    assert "hyperparameters.json is not JSON: " in failure(opt_ml)


def test_scenes_must_be_there(opt_ml):
    shutil.rmtree(opt_ml / "input" / "data" / "images")

    assert main([], environment(opt_ml)) == JobExit.INPUT
    assert "the channel images is missing" in failure(opt_ml)


def test_an_error_that_swath_does_not_know_is_a_bug(opt_ml):
    (opt_ml / "output").write_text("a file where SageMaker has a folder")
    (opt_ml / "model").mkdir()
    env = environment(opt_ml) | {"SM_OUTPUT_DATA_DIR": str(opt_ml / "output" / "data")}
    env["SM_OUTPUT_DIR"] = str(opt_ml / "elsewhere")
    change(opt_ml, epochs="1", crops="4")

    assert main(["train"], env) == JobExit.BUG
    assert "NotADirectoryError" in (opt_ml / "elsewhere" / "failure").read_text()


def test_an_unknown_argument_gets_the_usage(capsys):
    assert main(["serve"], {}) == JobExit.USAGE
    assert "hyperparameters.json" in capsys.readouterr().err


def test_without_variables_the_folders_are_sagemakers():
    folders = JobFolders.from_env({}, ("images",))

    assert folders.channels == {"images": Path("/opt/ml/input/data/images")}
    assert folders.config == Path("/opt/ml/input/config")
    assert folders.checkpoints == Path("/opt/ml/checkpoints")
    assert folders.model == Path("/opt/ml/model")
    assert folders.output / "failure" == Path("/opt/ml/output/failure")
    assert folders.data == Path("/opt/ml/output/data")


def test_a_channel_has_a_variable_of_its_own(tmp_path):
    folders = JobFolders.from_env({"SM_CHANNEL_VAL_LABELS": str(tmp_path)}, ("val_labels",))

    assert folders.channel("val_labels") == str(tmp_path)


@pytest.mark.parametrize(("files", "given"), [([], ""), (["a"], "a"), (["a", "b"], "")])
def test_a_channel_of_one_file_is_that_file(tmp_path, files, given):
    for name in files:
        (tmp_path / name).touch()
    folders = JobFolders.from_env({"SM_CHANNEL_LABELS": str(tmp_path)}, ("labels",))

    assert folders.channel("labels") == str(tmp_path / given)


@pytest.mark.parametrize("text", ["{", "[]", '{"epochs": 3}'])
def test_hyperparameters_are_an_object_of_strings(tmp_path, text):
    (tmp_path / "hyperparameters.json").write_text(text)
    folders = JobFolders.from_env({"SM_INPUT_CONFIG_DIR": str(tmp_path)}, ())

    with pytest.raises(InputError, match=r"hyperparameters\.json"):
        folders.hyperparameters()


@pytest.mark.parametrize(
    ("instance_type", "code"), [("ml.g5.xlarge", JobExit.NO_GPU), ("ml.m5.large", JobExit.INPUT)]
)
def test_a_host_that_is_paid_for_its_gpu_does_not_train_on_its_cpu(
    opt_ml, monkeypatch, caplog, instance_type, code
):
    monkeypatch.setattr(device, "_torch_cuda", lambda: ("13.0", False))
    monkeypatch.setattr(device, "_DEVICE_NODES", ())
    found = {"current_host": "algo-1", "current_instance_type": instance_type}
    (opt_ml / "input" / "config" / "resourceconfig.json").write_text(json.dumps(found))
    shutil.rmtree(opt_ml / "input" / "data" / "images")

    with caplog.at_level("INFO"):
        assert main(["train"], environment(opt_ml)) == code

    if code == JobExit.NO_GPU:
        said = "NoGpuError: the host is an ml.g5.xlarge, but no GPU can be used: torch is built for"
        assert failure(opt_ml).startswith(said)
    else:
        assert "training on cpu" in caplog.text


def test_a_host_without_a_type_has_none(tmp_path):
    folders = JobFolders.from_env(environment(tmp_path), ())
    assert folders.instance_type == ""
    folders.config.mkdir(parents=True)
    for text in ("", "[]", "{}"):
        (folders.config / "resourceconfig.json").write_text(text)
        assert folders.instance_type == ""
