import dataclasses
import re

import msgspec
import pytest

from swath.errors import InputError
from swath.sagemaker.jobs.train import TrainingJob
from swath.sagemaker.jobs.tune import TuningJob, launch_tuning
from swath.training.log_lines import METRIC_REGEXES
from swath.training.options import TrainOptions
from swath.training.search import OptionRange, Search

SEARCH = Search(
    ranges={
        "learning_rate": OptionRange(low=0.0001, high=0.01, log=True),
        "epochs": OptionRange(low=10, high=40),
        "network.width": OptionRange(choices=(16, 24, 32)),
    },
    trials=12,
    seed=3,
)
JOB = TuningJob(
    training=TrainingJob(
        options=TrainOptions(name="ships", batch_size=4),
        channels={"images": "s3://scenes/ports/", "labels": "s3://scenes/labels/"},
        instance_type="ml.g5.xlarge",
        hours=1,
    ),
    search=SEARCH,
    max_parallel=3,
)


def test_a_search_is_asked_for_as_it_should_be(aws, deployment, calls):
    name, checkpoints = launch_tuning(JOB, deployment)

    (made,) = [kwargs for call, kwargs in calls if call == "CreateHyperParameterTuningJob"]
    assert made["HyperParameterTuningJobName"] == name
    config = made["HyperParameterTuningJobConfig"]
    assert config["Strategy"] == "Bayesian"
    assert config["HyperParameterTuningJobObjective"] == {
        "Type": "Maximize",
        "MetricName": "validation:ap50",
    }
    assert config["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 12,
        "MaxParallelTrainingJobs": 3,
    }
    assert config["RandomSeed"] == 4
    ranges = config["ParameterRanges"]
    assert ranges["ContinuousParameterRanges"] == [
        {
            "Name": "learning_rate",
            "MinValue": "0.0001",
            "MaxValue": "0.01",
            "ScalingType": "Logarithmic",
        }
    ]
    assert ranges["IntegerParameterRanges"] == [
        {"Name": "epochs", "MinValue": "10", "MaxValue": "40", "ScalingType": "Linear"}
    ]
    assert ranges["CategoricalParameterRanges"] == [
        {"Name": "network.width", "Values": ["16", "24", "32"]}
    ]
    definition = made["TrainingJobDefinition"]
    assert definition["RoleArn"] == deployment.training_role
    assert definition["EnableManagedSpotTraining"] is True
    assert definition["StoppingCondition"]["MaxRuntimeInSeconds"] == 3600
    assert definition["StaticHyperParameters"]["batch_size"] == "4"
    assert {one["ChannelName"] for one in definition["InputDataConfig"]} == {"images", "labels"}
    # The training ends by itself, and exports, before SageMaker stops it.
    assert definition["StaticHyperParameters"]["minutes"] == "54.0"
    assert definition["CheckpointConfig"]["S3Uri"] == checkpoints
    metrics = {
        one["Name"]: one["Regex"]
        for one in definition["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert metrics == METRIC_REGEXES
    line = "validation:ap50=0.125; seconds=3"
    assert re.search(metrics["validation:ap50"], line).group(1) == "0.125"


@pytest.mark.parametrize("name", ["ships_s2.v1", "s" * 63])
def test_models_names_become_names_of_searches(aws, deployment, name):
    """Check names against SageMaker's pattern, because the local stand-in does not check them."""
    training = dataclasses.replace(JOB.training, options=TrainOptions(name=name))
    job = dataclasses.replace(JOB, training=training)

    names = {launch_tuning(job, deployment)[0] for _ in range(2)}

    assert len(names) == 2
    assert all(re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", one) for one in names)


def test_a_search_with_the_default_seed_is_the_same_again(aws, deployment, calls):
    search = msgspec.structs.replace(SEARCH, seed=0)

    launch_tuning(dataclasses.replace(JOB, search=search), deployment)

    (made,) = [kwargs for call, kwargs in calls if call == "CreateHyperParameterTuningJob"]
    assert made["HyperParameterTuningJobConfig"]["RandomSeed"] == 1


def test_a_metric_that_trainings_do_not_report(aws, deployment):
    search = msgspec.structs.replace(SEARCH, metric="accuracy")

    with pytest.raises(InputError, match="do not report 'accuracy'; they report ap50"):
        launch_tuning(dataclasses.replace(JOB, search=search), deployment)
