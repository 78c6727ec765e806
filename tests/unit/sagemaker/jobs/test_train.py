import re

import pytest

from swath import storage
from swath.errors import InputError
from swath.sagemaker.jobs.train import TrainingJob, launch_training, max_cost, to_hyperparameters
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
    assert TrainOptions.from_strings(to_hyperparameters(options)) == options


def test_a_job_is_asked_for_as_it_should_be(aws, deployment, calls):
    started = launch_training(
        job(tags={"team": "maritime"}, label_options={"form": "coco"}), deployment
    )

    made, name, package = asked(calls), started.name, started.package
    assert made["TrainingJobName"] == name
    assert name.startswith("ships-s2-v1-")
    assert package == f"{made['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
    assert made["OutputDataConfig"]["S3OutputPath"] == "s3://results/training/output"
    assert made["RoleArn"] == deployment.training_role
    assert made["AlgorithmSpecification"]["TrainingImage"] == deployment.training_image
    given = made["HyperParameters"]
    assert given.pop("form") == "coco"
    assert re.fullmatch(r"[0-9a-f]{32}", given.pop("launch"))
    # The training ends by itself, and exports, twelve minutes before SageMaker stops it.
    assert given.pop("minutes") == "108.0"
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
    assert started.checkpoints == checkpoints["S3Uri"]
    (channel,) = made["InputDataConfig"]
    assert channel["ChannelName"] == "images"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://scenes/ports/"
    assert made["Tags"] == [{"Key": "team", "Value": "maritime"}]
    assert made["EnableManagedSpotTraining"] is True
    # The limit has one more day, to wait for spare capacity.
    assert made["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 7200,
        "MaxWaitTimeInSeconds": 7200 + 86400,
    }
    # The launch inspects no role, makes no bucket, and reports the call to no service.
    assert {call for call, _ in calls} <= {"CreateTrainingJob", "DescribeTrainingJob"}


def test_on_demand_waits_for_nothing_and_local_data_is_uploaded_first(
    aws, deployment, calls, tmp_path
):
    (tmp_path / "a.tif").write_bytes(b"pixels")

    launch_training(job(spot=False, channels={"images": str(tmp_path)}), deployment)

    made = asked(calls)
    assert made["EnableManagedSpotTraining"] is False
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    (channel,) = made["InputDataConfig"]
    uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri.startswith("s3://results/training/")
    assert storage.read_bytes(storage.join(uri, "a.tif")) == b"pixels"


@pytest.mark.parametrize(
    ("hours", "minutes"), [(0.1, "3.0"), (0.5, "24.0"), (1, "54.0"), (5, "270.0"), (24, "1410.0")]
)
def test_a_training_ends_before_its_hours_are_over(aws, deployment, calls, hours, minutes):
    launch_training(job(hours=hours), deployment)

    made = asked(calls)
    assert made["HyperParameters"]["minutes"] == minutes
    assert float(minutes) * 60 < made["StoppingCondition"]["MaxRuntimeInSeconds"]


def test_minutes_that_are_given_stay(aws, deployment, calls):
    launch_training(job(options=OPTIONS.replaced({"minutes": "5"})), deployment)

    assert asked(calls)["HyperParameters"]["minutes"] == "5.0"


@pytest.mark.parametrize("name", ["ships_s2.v1", "s" * 63])
def test_models_names_become_names_of_jobs(aws, deployment, name):
    options = OPTIONS.replaced({"name": name})

    names = {launch_training(job(options=options), deployment).name for _ in range(2)}

    assert len(names) == 2
    assert all(re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", one) for one in names)


def test_another_launch_goes_on_from_the_checkpoints_of_the_first(aws, deployment, calls):
    first = launch_training(job(), deployment)
    storage.write_bytes(f"{first.checkpoints}/{OPTIONS.digest}/checkpoint.pt", b"weights")
    calls.clear()

    second = launch_training(job(checkpoints=first.checkpoints), deployment)

    made = asked(calls)
    assert made["CheckpointConfig"]["S3Uri"] == second.checkpoints == first.checkpoints
    assert second.name != first.name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"checkpoints": "s3://my-data/c"}, "not below s3://results/training/, where the stack"),
        ({"checkpoints": "s3://results/training/c"}, "no checkpoint of a training with these"),
        ({"channels": {"images": "s3://other/a/"}}, "may not read it"),
    ],
)
def test_what_a_job_could_not_use_is_refused_before_it_is_launched(
    aws, deployment, calls, changes, says
):
    with pytest.raises(InputError, match=says):
        launch_training(job(**changes), deployment)

    assert "CreateTrainingJob" not in dict(calls)


def test_a_stack_that_does_not_train(aws, deployment):
    del deployment.outputs["TrainingImageUri"]

    with pytest.raises(InputError, match="set `training` to true"):
        launch_training(job(), deployment)


def test_the_price_given_counts(deployment):
    assert max_cost(job(), deployment.region, jobs=4).dollars == 12.0
