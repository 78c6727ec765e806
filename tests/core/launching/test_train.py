import re

import pytest

from swath import storage
from swath.errors import InputError
from swath.launching.train import TrainingJob, ceiling_of, hyperparameters_of, launch
from swath.training.options import TrainOptions

OPTIONS = TrainOptions.from_strings(
    {"name": "ships_s2.v1", "epochs": "3", "network.width": "24", "bands": "B02,B03"}
)


def job(**changes):
    values = {
        "options": OPTIONS,
        "channels": {"images": "s3://scenes/ports/"},
        "instance_type": "ml.g5.xlarge",
        "hours": 2,
        "hourly_price": 1.5,
    }
    return TrainingJob(**(values | changes))


def asked(calls):
    (made,) = [arguments for name, arguments in calls if name == "CreateTrainingJob"]
    return made


@pytest.mark.parametrize(
    "options", [TrainOptions(), OPTIONS, OPTIONS.replaced({"augment.flips": "false"})]
)
def test_hyperparameters_are_read_back_as_the_same_options(options):
    assert TrainOptions.from_strings(hyperparameters_of(options)) == options


def test_a_job_is_asked_for_as_it_should_be(aws, deployment, calls):
    name, package = launch(job(tags={"team": "maritime"}, of_labels={"form": "coco"}), deployment)

    made = asked(calls)
    assert made["TrainingJobName"] == name
    assert name.startswith("ships-s2-v1-")
    assert package == f"{made['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
    assert made["OutputDataConfig"]["S3OutputPath"] == "s3://results/training/output"
    assert made["RoleArn"] == deployment.training_role
    assert made["AlgorithmSpecification"]["TrainingImage"] == deployment.training_image
    given = made["HyperParameters"]
    assert given.pop("form") == "coco"
    assert TrainOptions.from_strings(given) == OPTIONS
    log = "epoch=3; train:loss=0.5; validation:ap50=0.25; seconds=9"
    found = {
        one["Name"]: re.search(one["Regex"], log)
        for one in made["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert found["train:loss"].group(1) == "0.5"
    assert found["validation:ap50"].group(1) == "0.25"
    assert made["ResourceConfig"] == {
        "InstanceType": "ml.g5.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 100,
    }
    checkpoints = made["CheckpointConfig"]
    assert checkpoints["LocalPath"] == "/opt/ml/checkpoints"
    assert re.fullmatch(r"s3://results/training/checkpoints/[0-9a-f]{32}", checkpoints["S3Uri"])
    (channel,) = made["InputDataConfig"]
    assert channel["ChannelName"] == "images"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://scenes/ports/"
    assert made["Tags"] == [{"Key": "team", "Value": "maritime"}]
    assert made["EnableManagedSpotTraining"] is True
    # A day more, to wait for spare capacity.
    assert made["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 7200,
        "MaxWaitTimeInSeconds": 7200 + 86400,
    }
    # No role is inspected, no bucket made, and nobody is told of the call.
    assert {call for call, _ in calls} <= {"CreateTrainingJob", "DescribeTrainingJob"}


def test_on_demand_waits_for_nothing_and_local_data_is_uploaded_first(
    aws, deployment, calls, tmp_path
):
    (tmp_path / "a.tif").write_bytes(b"pixels")

    launch(job(spot=False, channels={"images": str(tmp_path)}), deployment)

    made = asked(calls)
    assert made["EnableManagedSpotTraining"] is False
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    (channel,) = made["InputDataConfig"]
    uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri.startswith("s3://results/training/")
    assert storage.read_bytes(storage.join(uri, "a.tif")) == b"pixels"


def test_a_stack_that_does_not_train(aws, deployment):
    del deployment.outputs["TrainingImageUri"]

    with pytest.raises(InputError, match="set `training` to true"):
        launch(job(), deployment)


def test_the_price_given_counts(deployment):
    assert ceiling_of(job(), deployment.region, jobs=4).dollars == 12.0
