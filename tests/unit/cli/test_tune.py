import json

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from swath.cli import app
from tests.helpers.squares import OPTIONS
from tests.helpers.stacks import deployed


@pytest.fixture
def stack():
    with deployed():
        yield


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"trials": 4, "ranges": {"epochs": {"low": 2, "high": 5}}}))
    return str(path)


def tune(search, *more, answer=""):
    data = ["s3://scenes/train.json", "s3://scenes/ports/", "--search", search, "--on-sagemaker"]
    return CliRunner().invoke(app, ["tune", *data, *more], input=answer)


def jobs():
    client = boto3.client("sagemaker")
    return client.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]


def test_what_it_costs_is_shown_and_refused(stack, search):
    result = tune(search, "--hours", "1.5", "--hourly-price", "2", answer="n\n")

    assert "at most $12.00: 4 job(s) of 1.5 h" in result.output
    assert result.exit_code == 1
    assert not jobs()


@pytest.mark.parametrize(("more", "answer"), [([], "y\n"), (["--yes"], "")])
def test_it_starts_once_that_is_agreed_to(stack, search, more, answer):
    result = tune(search, "--hourly-price", "2", *more, answer=answer)

    assert result.exit_code == 0, result.output
    (job,) = jobs()
    assert job["HyperParameterTuningJobName"] in result.output
    assert "--checkpoints s3://results/training/checkpoints/" in result.output


def test_what_cannot_be_read_is_refused_before_the_cost_is_asked_about(stack, search):
    result = tune(search, "--val-labels", "s3://other/val.json", "--yes")

    assert result.exit_code == 2
    assert "s3://other/val.json: the jobs of the stack 'swath' may not read it" in result.output
    assert not jobs()


def test_without_a_stack(search):
    with mock_aws():
        result = tune(search, "--hourly-price", "2", "--yes")

    assert result.exit_code == 2
    assert "no stack 'swath'" in result.output


def test_here_it_needs_a_folder(search):
    result = tune(search, "--local")

    assert result.exit_code == 2
    assert "--out is missing" in result.output


FEW = {"epochs": "1", "crops": "8", "network.channels": "[4,4]"}


def search_here(squares, tmp_path, *more):
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"trials": 1, "ranges": {"seed": {"low": 1, "high": 2}}}))
    chosen = [f"--set={key}={value}" for key, value in (OPTIONS | FEW).items()]
    data = [
        squares / "labels.json",
        squares / "scenes",
        "--search",
        path,
        "--out",
        tmp_path / "out",
    ]
    return CliRunner().invoke(app, ["tune", *map(str, [*data, *chosen, *more])])


def test_a_search_takes_what_a_training_takes(squares, tmp_path):
    options = ("--folds", 2, "--classes", "square", "--format", "coco")
    result = search_here(squares, tmp_path, *options)

    assert result.exit_code == 0, result.output
    assert "fold=2; epoch=1; step=1; train:loss=" in result.output
    assert "best ap50 " in result.output
    (folds,) = (tmp_path / "out").glob("trial-*/folds.json")
    assert len(json.loads(folds.read_text())["folds"]) == 2

    begun = search_here(squares, tmp_path)
    assert begun.exit_code == 2
    assert "resume it with --resume" in begun.stderr

    again = search_here(squares, tmp_path, "--resume", *options)
    assert again.exit_code == 0, again.output
    assert "fold=" not in again.output

    other = search_here(squares, tmp_path, "--resume", "--folds", 3, *options[2:])
    assert other.exit_code == 2
    assert "has a search with other data: folds" in other.stderr


def test_there_has_to_be_a_search_to_resume(squares, tmp_path):
    result = search_here(squares, tmp_path, "--resume")

    assert result.exit_code == 2
    assert "contains no search to resume" in result.stderr


def test_classes_and_options_reach_the_jobs(stack, search):
    result = tune(
        search,
        "--hourly-price=2",
        "--yes",
        "--classes",
        "ship",
        "--set",
        "name=ports",
        "--map",
        "v=ship",
    )

    assert result.exit_code == 0, result.output
    (job,) = jobs()
    found = boto3.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=job["HyperParameterTuningJobName"]
    )
    fixed = found["TrainingJobDefinition"]["StaticHyperParameters"]
    assert json.loads(fixed["map"]) == {"v": "ship"}
    assert (fixed["classes"], fixed["name"]) == ("ship", "ports")
