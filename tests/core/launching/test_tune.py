import dataclasses
import re

import msgspec
import pytest

from swath.errors import InputError
from swath.launching.train import TrainingJob
from swath.launching.tune import TuningJob, launch_tuning
from swath.training.options import TrainOptions
from swath.training.search import Range, Search

SEARCH = Search(
    ranges={
        "learning_rate": Range(low=0.0001, high=0.01, log=True),
        "epochs": Range(low=10, high=40),
        "network.width": Range(choices=(16, 24, 32)),
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
    at_once=3,
)


def test_a_search_is_asked_for_as_it_should_be(aws, deployment, calls):
    name = launch_tuning(JOB, deployment)

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
    assert config["RandomSeed"] == 3
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
    (metric,) = definition["AlgorithmSpecification"]["MetricDefinitions"]
    assert metric["Name"] == "validation:ap50"
    assert re.search(metric["Regex"], "validation:ap50=0.125; seconds=3").group(1) == "0.125"


def test_a_metric_that_trainings_do_not_report(aws, deployment):
    search = msgspec.structs.replace(SEARCH, metric="accuracy")

    with pytest.raises(InputError, match="do not report 'accuracy'; they report ap50"):
        launch_tuning(dataclasses.replace(JOB, search=search), deployment)
