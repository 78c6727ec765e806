import json
import shutil
import signal

import boto3
import pytest
from typer.testing import CliRunner

from swath import storage
from swath.cli import EXIT_INPUT, app
from swath.errors.exit_codes import CommandExit
from swath.models.package import load_package
from swath.training import runner
from swath.training.options import TrainOptions
from tests.helpers.squares import HELD_OUT, OPTIONS
from tests.helpers.stacks import deployed

FEW = {"epochs": "1", "crops": "8", "network.channels": "[4,4]"}


def run(*arguments, env=None):
    return CliRunner().invoke(app, ["train", *map(str, arguments)], env=env)


def arguments(squares, out, **changes):
    chosen = [f"--set={key}={value}" for key, value in (OPTIONS | FEW | changes).items()]
    return (squares / "labels.json", squares / "scenes", "--out", out, *chosen)


def test_a_training_leaves_a_package_a_report_and_figures(squares, tmp_path):
    (tmp_path / "o.toml").write_text("epochs = 9\nname = 'other'\n")
    out = tmp_path / "out"

    told = run(*arguments(squares, out, held_out=HELD_OUT), "--options", tmp_path / "o.toml")

    assert told.exit_code == 0, told.output
    assert "epoch=1; step=1; train:loss=" in told.output
    assert f"see {out / 'report.html'}" in told.output
    assert load_package(out / "package").description.name == "squares"
    assert json.loads((out / "metrics.json").read_text())["ended"] == "epochs"

    again = run(*arguments(squares, out, held_out=HELD_OUT))
    assert again.exit_code == EXIT_INPUT
    assert "resume it with --resume" in again.output


def test_nothing_of_an_earlier_training_is_left_by_one_that_fails(squares, tmp_path):
    out = tmp_path / "out"
    run(*arguments(squares, out, held_out=HELD_OUT))
    shutil.rmtree(out / "checkpoints")

    told = run("none.json", *arguments(squares, out)[1:])

    assert told.exit_code == EXIT_INPUT
    assert list(out.iterdir()) == []


def test_a_package_that_swath_did_not_make_is_left_alone(squares, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "notes.txt").write_text("mine")

    told = run(*arguments(squares, tmp_path))

    assert told.exit_code == EXIT_INPUT
    assert "package would be replaced, but swath did not write it" in told.output
    assert [path.name for path in tmp_path.rglob("*")] == ["package", "notes.txt"]


def test_a_class_of_the_labels_gets_another_name_in_the_model(squares, tmp_path):
    known = json.loads((squares / "labels.json").read_text())["categories"][0]["name"]
    given = arguments(squares, tmp_path / "out", held_out=HELD_OUT)

    told = run(*given, "--map", f"{known}=plot")

    assert told.exit_code == 0, told.output
    assert load_package(tmp_path / "out" / "package").description.classes == ("plot",)


def test_it_trains_in_bfloat16_on_a_cpu_when_told_to(squares, tmp_path):
    told = run(*arguments(squares, tmp_path / "out", precision="bfloat16"))

    assert told.exit_code == 0, told.output
    assert "epoch=1; step=1; train:loss=" in told.output


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, CommandExit.INTERRUPTED), (signal.SIGTERM, CommandExit.TERMINATED)],
)
def test_stopped_it_says_how_to_go_on(squares, tmp_path, monkeypatch, number, code):
    def interrupted(*args, **kwargs):
        signal.raise_signal(number)
        return read(*args, **kwargs)

    read = runner.read_collection
    monkeypatch.setattr(runner, "read_collection", interrupted)
    before = signal.getsignal(number)

    told = run(*arguments(squares, tmp_path / "out", epochs="2"))

    assert told.exit_code == code
    assert "stopped after step 1 of 2; run it again to resume" in told.output
    assert (tmp_path / "out" / runner.CHECKPOINT_FOLDER / "checkpoint.pt").is_file()
    assert signal.getsignal(number) is before


def test_folds_measure_options_on_scenes_that_were_held_out(squares, tmp_path):
    told = run(*arguments(squares, tmp_path), "--folds", 2)

    assert told.exit_code == 0, told.output
    assert "fold=2; epoch=1; step=1; train:loss=" in told.output
    assert "mean of 2 folds: ap50 0.000, ap 0.000, " in told.output
    assert f"see {tmp_path / 'folds.json'}" in told.output


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--folds", "2", "--val-labels", "v.json"], "--folds validates on parts of SCENES"),
        (["--resume"], "no checkpoint to resume from"),
        (
            ["--checkpoints", "s3://results/training/c"],
            "--checkpoints applies only to jobs on SageMaker",
        ),
        (["--set", "epochs=0"], "epochs is '0'"),
        (["--set", "epochs"], "write key=value"),
        (["--format", "voc"], "is not one of 'auto', 'coco'"),
        (["--options", "nowhere.json"], "the options file nowhere.json does not exist"),
        (["--map", "ship"], "write --map vessel=ship"),
        (["--map", "vessel=ship"], "renames the class 'vessel', but "),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(squares, tmp_path, more, says):
    told = run(*arguments(squares, tmp_path / "out"), *more)

    assert told.exit_code == EXIT_INPUT
    assert says in told.output


class TestOnSageMaker:
    @pytest.fixture(autouse=True)
    def stack(self):
        with deployed():
            yield

    def run(self, *more, answer=""):
        data = [
            "s3://scenes/train.json",
            "s3://scenes/ports/",
            "--on-sagemaker",
            "--hourly-price=2",
            "--hours=3",
        ]
        return CliRunner().invoke(app, ["train", *data, *more], input=answer)

    def jobs(self):
        client = boto3.client("sagemaker")
        return [
            client.describe_training_job(TrainingJobName=one["TrainingJobName"])
            for one in client.list_training_jobs()["TrainingJobSummaries"]
        ]

    def test_what_it_costs_is_shown_and_refused(self):
        told = self.run(answer="n\n")

        assert "at most $6.00" in told.output
        assert not self.jobs()

    def test_it_starts_once_that_is_agreed_to(self):
        told = self.run(
            *("--set", "name=ports", "--classes", "ship", "--map", "vessel=ship"), answer="y\n"
        )

        assert told.exit_code == 0, told.output
        (job,) = self.jobs()
        assert job["TrainingJobName"] in told.output
        given = job["HyperParameters"]
        assert given.pop("launch")
        assert json.loads(given.pop("map")) == {"vessel": "ship"}
        assert given == {"name": "ports", "form": "auto", "classes": "ship", "minutes": "162.0"}
        assert (
            f"with --on-sagemaker --checkpoints {job['CheckpointConfig']['S3Uri']}" in told.output
        )
        assert {one["ChannelName"] for one in job["InputDataConfig"]} == {"images", "labels"}

    @pytest.mark.parametrize("more", [["--out", "x"], ["--resume"]])
    def test_what_is_for_this_machine_is_refused(self, more):
        told = self.run(*more)

        assert told.exit_code == EXIT_INPUT
        assert "applies only to this machine" in told.output

    def test_what_cannot_be_read_is_refused_before_the_cost_is_asked_about(self):
        told = self.run("--val-scenes", "s3://other/ports/", answer="y\n")

        assert told.exit_code == EXIT_INPUT
        assert "s3://other/ports/: the jobs of the stack 'swath' may not read it" in told.output
        assert "This costs" not in told.output
        assert not self.jobs()

    def test_a_launch_is_gone_on_with(self):
        uri = "s3://results/training/checkpoints/0123"
        storage.write_bytes(f"{uri}/{TrainOptions().digest}/checkpoint.pt", b"weights")

        told = self.run("--checkpoints", f"{uri}/", "--yes")

        assert told.exit_code == 0, told.output
        (job,) = self.jobs()
        assert job["CheckpointConfig"]["S3Uri"] == uri

    def test_a_launch_is_gone_on_with_as_it_was(self):
        uri = "s3://results/training/checkpoints/0123"
        storage.write_bytes(f"{uri}/{TrainOptions().digest}/checkpoint.pt", b"weights")

        told = self.run("--checkpoints", uri, "--yes", "--set", "epochs=50")

        assert told.exit_code == EXIT_INPUT
        assert "give the original --options and --set" in told.output
        assert not self.jobs()
