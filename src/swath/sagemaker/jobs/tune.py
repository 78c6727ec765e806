"""Launch searches for hyperparameters on SageMaker, each with a fixed number of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swath.errors import InputError
from swath.sagemaker.jobs.names import MAX_TUNING_NAME, unique_name
from swath.sagemaker.jobs.train import check, inputs_of, make_trainer
from swath.training.log_lines import METRIC_REGEXES
from swath.training.search import text_of

if TYPE_CHECKING:
    from swath.sagemaker.jobs.train import TrainingJob
    from swath.stack import Deployment
    from swath.training.search import Search

_OF_VALIDATION = "validation:"
"""Prefix of the validation metrics' names."""
_LOG = "Logarithmic"
_LINEAR = "Linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJob:
    """A search to launch."""

    training: TrainingJob
    """Training that all trainings of the search share, except for the options that vary."""
    search: Search
    at_once: int = 2
    """Maximum number of trainings that run at the same time."""


def launch_tuning(job: TuningJob, deployment: Deployment) -> tuple[str, str]:
    """Start a search.

    Returns:
        Name of the tuning job, and S3 URI of the checkpoints of all its trainings.

    Raises:
        InputError: The SDK is not installed, the stack does not train, trainings do not report the
            search's metric, or `check` raises it.
    """
    check(job.training, deployment)
    tuner = make_tuner(job, deployment)
    name = unique_name(job.training.options.name, most=MAX_TUNING_NAME)
    tuner.tune(inputs=inputs_of(job.training, deployment), job_name=name, wait=False)
    return name, tuner.model_trainer.checkpoint_config.s3_uri


def make_tuner(job: TuningJob, deployment: Deployment) -> Any:
    """Return the SDK's `HyperparameterTuner` for a search.

    Raises:
        InputError: The SDK is not installed, the stack does not train, or trainings do not report
            the search's metric.
    """
    trainer = make_trainer(job.training, deployment)
    from sagemaker.train.tuner import HyperparameterTuner  # noqa: PLC0415

    search, metric = job.search, _OF_VALIDATION + job.search.metric
    if metric not in METRIC_REGEXES:
        known = ", ".join(
            one.removeprefix(_OF_VALIDATION)
            for one in METRIC_REGEXES
            if one.startswith(_OF_VALIDATION)
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
        max_parallel_jobs=job.at_once,
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

    found: dict[str, Any] = {}
    for name, one in search.ranges.items():
        scale = _LOG if one.log else _LINEAR
        if one.choices:
            found[name] = CategoricalParameter([text_of(choice) for choice in one.choices])
        elif one.whole:
            found[name] = IntegerParameter(int(one.low), int(one.high), scaling_type=scale)
        else:
            found[name] = ContinuousParameter(one.low, one.high, scaling_type=scale)
    return found
