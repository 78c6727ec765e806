import json

import boto3
import pytest
from typer.testing import CliRunner

from sagemaker_jobs.evaluate_model.__main__ import _parse
from swath.cli import EXIT_FAILED, EXIT_INPUT, app
from tests.helpers.labeled import around, dots, write_coco
from tests.helpers.stacks import deployed

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
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["metrics"]["AP"] == 1


def test_what_is_odd_about_a_scene_is_said(run, make_scene, tmp_path):
    make_scene(dots(PLACES), units=[("", 0.5, 0.0)])

    result = run()

    assert result.exit_code == 0
    (warning,) = json.loads((tmp_path / "out" / "evaluation.json").read_text())["warnings"]
    assert "scene.tif states a unit (gray: scale 0.5, offset 0)" in warning
    assert result.stderr == f"warning: {warning}\n"


def change(labels, edit):
    content = json.loads(labels.read_text())
    edit(content)
    labels.write_text(json.dumps(content))


def test_sizes_go_by_the_areas_that_coco_states(run, labels, tmp_path):
    # Each box has 1 px²; 2,000 px² are medium.
    change(labels, lambda content: [a.update(area=2000) for a in content["annotations"]])

    assert run().exit_code == 0

    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())["metrics"]
    assert (figures["AP_small"], figures["AP_medium"], figures["AP_large"]) == (None, 1, None)


def test_a_scene_under_two_names_is_not_measured_twice(run, labels):
    def halve(content):
        content["images"].append(content["images"][0] | {"id": 2, "file_name": "./scene.tif"})
        content["annotations"][0]["image_id"] = 2

    change(labels, halve)
    result = run()

    assert result.exit_code == EXIT_INPUT
    assert "images 1 (scene.tif) and 2 (./scene.tif) refer to the same scene" in result.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "NaN"])
@pytest.mark.parametrize(
    "option", ["--fail-below", "--tolerance", "--score-floor", "--tolerated-failures"]
)
def test_no_gate_is_open_for_what_is_no_number(run, tmp_path, option, number):
    result = run(option, f"AP={number}" if option == "--fail-below" else number)

    assert result.exit_code in {2, EXIT_INPUT}
    assert not (tmp_path / "out").exists()


def test_labels_with_a_byte_order_mark_are_read(run, labels):
    labels.write_bytes(labels.read_text().encode("utf-16"))

    assert run("--fail-below", "AP=1").exit_code == 0


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
    assert "has no metric speed" in result.stderr


@pytest.fixture
def vessels(labels):
    """Rename the labels' class to one that the model does not have."""
    change(labels, lambda content: content["categories"][0].update(name="vessel"))


def test_a_class_of_the_labels_can_be_one_of_the_model(run, vessels, tmp_path):
    refused = run()

    assert refused.exit_code == EXIT_INPUT
    assert "['vessel'], and the model has ['dot']" in refused.stderr
    assert "as in --map vessel=ship" in refused.stderr

    assert run("--map", "vessel=dot").exit_code == 0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["metrics"]["AP"] == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("vessel=dots", "the model bright has no class 'dots'; it has 'dot'"),
        ("ferry=dot", "renames the class 'ferry', but "),
        ("vessel", "--map vessel is not an assignment"),
    ],
)
def test_a_map_of_unknown_classes_is_refused_with_those_that_there_are(run, vessels, given, says):
    result = run("--map", given)

    assert result.exit_code == EXIT_INPUT
    assert says in result.stderr


def test_here_it_needs_a_folder(package, labels, tmp_path):
    given = ["evaluate", str(package), str(labels), str(tmp_path)]

    result = CliRunner().invoke(app, given)

    assert result.exit_code == EXIT_INPUT
    assert "--out is missing; give an output folder" in result.stderr


class TestOnSageMaker:
    @pytest.fixture(autouse=True)
    def stack(self):
        with deployed():
            yield

    @pytest.fixture
    def launch(self, package, labels):
        given = ["evaluate", package, labels, "s3://scenes/ports/", "--on-sagemaker"]
        given += ["--hourly-price=0.5", "--hours=3"]
        return lambda *more, answer="": CliRunner().invoke(
            app, [str(part) for part in (*given, *more)], input=answer
        )

    def jobs(self):
        client = boto3.client("sagemaker")
        return [
            client.describe_processing_job(ProcessingJobName=one["ProcessingJobName"])
            for one in client.list_processing_jobs()["ProcessingJobSummaries"]
        ]

    def test_it_starts_once_the_cost_is_agreed_to(self, launch):
        more = ("--classes", "ship", "--fail-below", "AP=0.5", "--map", "vessel=dot")
        result = launch(*more, answer="y\n")

        assert result.exit_code == 0, result.output
        assert "at most $1.50" in result.output
        (job,) = self.jobs()
        assert job["ProcessingJobName"] in result.output
        arguments = job["AppSpecification"]["ContainerArguments"]
        # The container parses the options that the command was given.
        options = _parse(arguments)
        assert (options.classes, options.fail_below) == ("ship", ["AP=0.5"])
        assert options.map == ["vessel=dot"]
        assert (options.format, options.score_floor) == ("auto", 0.01)

    def test_the_cost_is_refused(self, launch):
        assert launch(answer="n\n").exit_code == 1
        assert not self.jobs()

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (["--out", "here"], "--out applies only to this machine"),
            (["--format", "voc"], "'voc' is not one of 'auto', 'coco'"),
            (["--map", "vessel=ship"], "the model bright has no class 'ship'; it has 'dot'"),
            (["--against", "s3://other/evaluation.json"], "may not read it"),
        ],
    )
    def test_what_cannot_be_used_is_refused_before_the_cost_is_asked_about(
        self, launch, more, says
    ):
        result = launch(*more)

        assert result.exit_code == EXIT_INPUT
        assert says in result.output
        assert "This costs" not in result.output
