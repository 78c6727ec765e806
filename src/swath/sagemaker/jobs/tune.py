"""Launch searches for hyperparameters on SageMaker, each with a fixed number of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swath.errors import InputError
from swath.sagemaker.jobs.names import MAX_TUNING_NAME_LENGTH, unique_name
from swath.sagemaker.jobs.train import check_training, make_trainer, upload_channels
from swath.training.log_lines import METRIC_REGEXES
from swath.training.search import to_hyperparameter

if TYPE_CHECKING:
    from swath.sagemaker.jobs.train import TrainingJob
    from swath.stack import Deployment
    from swath.training.search import Search

_VALIDATION_PREFIX = "validation:"
"""Prefix of the validation metrics' names."""
_LOG_SCALE = "Logarithmic"
_LINEAR_SCALE = "Linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJob:
    """A search to launch."""

    training: TrainingJob
    """Training that all trainings of the search share, except for the options that vary."""
    search: Search
    max_parallel: int = 2
    """Maximum number of trainings that run at the same time."""


def launch_tuning(job: TuningJob, deployment: Deployment) -> tuple[str, str]:
    """Start a search.

    Returns:
        Name of the tuning job, and S3 URI of the checkpoints of all its trainings.

    Raises:
        InputError: The SDK is not installed, the stack does not train, trainings do not report the
            search's metric, or `check_training` raises it.
    """
    check_training(job.training, deployment)
    tuner = make_tuner(job, deployment)
    name = unique_name(job.training.options.name, max_length=MAX_TUNING_NAME_LENGTH)
    tuner.tune(inputs=upload_channels(job.training, deployment), job_name=name, wait=False)
    return name, tuner.model_trainer.checkpoint_config.s3_uri


def make_tuner(job: TuningJob, deployment: Deployment) -> Any:
    """Return the SDK's `HyperparameterTuner` for a search.

    Raises:
        InputError: The SDK is not installed, the stack does not train, or trainings do not report
            the search's metric.
    """
    trainer = make_trainer(job.training, deployment)
    from sagemaker.train.tuner import HyperparameterTuner  # noqa: PLC0415

    search, metric = job.search, _VALIDATION_PREFIX + job.search.metric
    if metric not in METRIC_REGEXES:
        known = ", ".join(
            one.removeprefix(_VALIDATION_PREFIX)
            for one in METRIC_REGEXES
            if one.startswith(_VALIDATION_PREFIX)
        )
        raise InputError(f"trainings do not report {search.metric!r}; they report {known}")
    return HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name=metric,
        objective_type=search.direction.capitalize(),
        metric_definitions=[
            {"Name": name, "Regex": regex} for name, regex in METRIC_REGEXES.items()
        ],
        hyperparameter_ranges=_ranges(search),
        strategy="Bayesian",
        max_jobs=search.trials,
        max_parallel_jobs=job.max_parallel,
        early_stopping_type="Auto",
        # The SDK treats a seed of 0 as no seed, and the search would differ each time.
        random_seed=search.seed + 1,
    )


def _ranges(search: Search) -> dict[str, Any]:
    from sagemaker.core.parameter import (  # noqa: PLC0415
        CategoricalParameter,
        ContinuousParameter,
        IntegerParameter,
    )

    parameters: dict[str, Any] = {}
    for name, option_range in search.ranges.items():
        scale = _LOG_SCALE if option_range.log else _LINEAR_SCALE
        if option_range.choices:
            parameters[name] = CategoricalParameter(
                [to_hyperparameter(choice) for choice in option_range.choices]
            )
        elif option_range.is_integer:
            parameters[name] = IntegerParameter(
                int(option_range.low), int(option_range.high), scaling_type=scale
            )
        else:
            parameters[name] = ContinuousParameter(
                option_range.low, option_range.high, scaling_type=scale
            )
    return parameters
