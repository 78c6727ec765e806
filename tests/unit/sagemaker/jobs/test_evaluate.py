import json
from pathlib import Path

import boto3
import pytest

from sagemaker_jobs.evaluate_model.__main__ import main
from swath import storage
from swath.errors import InputError, PackageError
from swath.errors.exit_codes import JobExit
from swath.models.packing import pack
from swath.sagemaker.jobs.evaluate import EvaluationJob, launch_evaluation, max_cost
from tests.helpers.labeled import around, dots, write_coco

PLACES = [(5, 5), (40, 40), (80, 20)]


@pytest.fixture
def data(make_scene, package, tmp_path):
    """Return local inputs: a scene in a folder of its own, its labels and a package."""
    (tmp_path / "scenes").mkdir()
    Path(make_scene(dots(PLACES))).rename(tmp_path / "scenes" / "scene.tif")
    labels = write_coco(tmp_path / "labels.json", [("scene.tif", around(PLACES))])
    return {"package": str(package), "images": str(tmp_path / "scenes"), "labels": str(labels)}


def job(data, **changes):
    values = {
        "against": None,
        "arguments": (),
        "instance_type": "ml.m5.xlarge",
        "hours": 1.5,
        "hourly_price": 0.25,
    }
    return EvaluationJob(**(data | values | changes))


def asked(calls):
    (made,) = [arguments for name, arguments in calls if name == "CreateProcessingJob"]
    return made


def run_as_sagemaker(made, root):
    """Copy the inputs to their folders, run the container's program, and copy the output back."""
    for one in made["ProcessingInputs"]:
        source = one["S3Input"]
        folder = root / Path(source["LocalPath"]).relative_to("/opt/ml")
        bucket, prefix = storage.split_s3(source["S3Uri"])
        for found in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            name = found["Key"][len(prefix) :] or Path(prefix).name
            storage.copy(f"s3://{bucket}/{found['Key']}", str(folder / name))
    code = main(made["AppSpecification"].get("ContainerArguments", []), root)
    (output,) = made["ProcessingOutputConfig"]["Outputs"]
    written = root / Path(output["S3Output"]["LocalPath"]).relative_to("/opt/ml")
    for path in written.glob("*"):
        if path.is_file():
            storage.copy(str(path), storage.join(output["S3Output"]["S3Uri"], path.name))
    return code


def test_what_is_launched_measures_the_package(aws, deployment, calls, data, tmp_path):
    started = launch_evaluation(job(data, arguments=["--fail-below", "AP=0.9"]), deployment)

    made = asked(calls)
    assert run_as_sagemaker(made, tmp_path / "ml") == JobExit.DONE
    assert json.loads(storage.read_bytes(f"{started.report}evaluation.json"))["metrics"]["AP"] == 1
    assert storage.exists(f"{started.report}report.html")
    assert made["ProcessingJobName"] == started.name
    assert made["RoleArn"] == deployment.evaluation_role
    assert made["AppSpecification"]["ImageUri"] == deployment.evaluation_image
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 5400}
    # A refused package fails the job, and its report is uploaded nevertheless.
    (output,) = made["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3UploadMode"] == "Continuous"
    boto3.client("sagemaker").describe_processing_job(ProcessingJobName=started.name)


def test_an_evaluation_of_an_earlier_job_is_what_another_is_held_against(
    aws, deployment, calls, data, tmp_path
):
    first = launch_evaluation(job(data), deployment)
    assert run_as_sagemaker(asked(calls), tmp_path / "first") == JobExit.DONE
    calls.clear()

    launch_evaluation(job(data, against=f"{first.report}evaluation.json"), deployment)

    assert run_as_sagemaker(asked(calls), tmp_path / "second") == JobExit.DONE
    verdict = json.loads((tmp_path / "second/processing/output/verdict.json").read_text())
    assert verdict["compared"] == ["AP", "AP50", "best_F1"]


def test_what_lies_on_s3_is_not_copied(aws, deployment, calls, data, tmp_path):
    pack(Path(data["package"]), tmp_path / "model.tar.gz")
    uri = "s3://cdk-assets/0123.tar.gz"
    storage.copy(str(tmp_path / "model.tar.gz"), uri)

    launch_evaluation(
        job({"package": uri, "images": "s3://my-data/a/", "labels": None}), deployment
    )

    inputs = {one["InputName"]: one["S3Input"] for one in asked(calls)["ProcessingInputs"]}
    assert {name: one["S3Uri"] for name, one in inputs.items()} == {
        "model": uri,
        "images": "s3://my-data/a/",
    }
    assert {one["LocalPath"] for one in inputs.values()} == {
        "/opt/ml/processing/input/model",
        "/opt/ml/processing/input/images",
    }


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"images": "s3://other/a/"}, InputError, "may not read it"),
        ({"package": "s3://other/m.tar.gz"}, InputError, "may not read it"),
        ({"images": "s3://results/evaluations/a/"}, InputError, "may not read it"),
        ({"labels": "nowhere.json"}, InputError, r"no file or folder nowhere.json \(labels\)"),
        (
            {"package": "s3://cdk-assets/none.tar.gz"},
            PackageError,
            r"package .* does not exist",
        ),
        ({"instance_type": "ml.g5.xlarge"}, InputError, "metrics are measured on a CPU"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_launched(
    aws, deployment, calls, data, changes, error, says
):
    with pytest.raises(error, match=says):
        launch_evaluation(job(data, **changes), deployment)

    assert "CreateProcessingJob" not in dict(calls)


def test_a_stack_that_does_not_evaluate(aws, deployment, data):
    del deployment.outputs["EvaluationImageUri"]

    with pytest.raises(InputError, match="EvaluationImageUri; set `training` to true"):
        launch_evaluation(job(data), deployment)


def test_the_price_given_counts(data):
    assert max_cost(job(data), "eu-west-1").dollars == 0.375
