"""Launch trainings on SageMaker, with the same container, options and data as on a laptop."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from swath import storage
from swath.errors import InputError
from swath.sagemaker.jobs.costs import TRAINING, MaxCost, calculate_max_cost
from swath.sagemaker.jobs.inputs import check_inputs, upload_inputs
from swath.sagemaker.jobs.names import MAX_JOB_NAME_LENGTH, unique_name
from swath.sagemaker.jobs.session import open_session
from swath.training.contract import CHECKPOINT_FILE, LAUNCH_HYPERPARAMETER
from swath.training.log_lines import METRIC_REGEXES
from swath.training.options import AUGMENT_PREFIX, NETWORK_PREFIX
from swath.training.search import to_hyperparameter

if TYPE_CHECKING:
    from swath.stack import Deployment
    from swath.training.options import TrainOptions

CONTAINER_CHECKPOINT_FOLDER = "/opt/ml/checkpoints"
"""Folder of the checkpoints in the container."""
_NESTED_PREFIXES = {"network_options": NETWORK_PREFIX, "augment": AUGMENT_PREFIX}
_SECONDS_PER_HOUR = 3600
_SECONDS_PER_DAY = 24 * _SECONDS_PER_HOUR
# The SDK appends a hyphen and the time in 14 digits.
_TIMESTAMP_LENGTH = 15
# For the download of image and data before the training, and for validation and export after it.
_MIN_MARGIN_MINUTES, _MAX_MARGIN_MINUTES = 6.0, 30.0
"""Bounds in minutes of the margin between the training's time limit and the job's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """A training to launch."""

    options: TrainOptions
    channels: Mapping[str, str]
    """Data of each input channel by name: an S3 prefix, or a local path, which is uploaded."""
    label_options: Mapping[str, str] = field(default_factory=dict)
    """Description of the labels: any of `form`, `classes` and `map`."""
    instance_type: str
    """Instance type of the host."""
    hours: float
    """Time limit in hours, after which SageMaker stops the training."""
    checkpoints: str | None = None
    """S3 URI of an earlier launch's checkpoints to resume from; None for a new training."""
    spot: bool = True
    """Whether to use Spot capacity, which costs less and may be interrupted.

    An interrupted training resumes from its last checkpoint. Including waits for capacity, the job
    takes at most a day longer than `hours`.
    """
    volume_gib: int = 100
    """Size of the host's volume in GiB."""
    hourly_price: float | None = None
    """Price of the instance in US dollars per hour; None for AWS's price list."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the training job."""


def max_cost(job: TrainingJob, region: str, *, jobs: int = 1) -> MaxCost:
    """Return the maximum cost of jobs of the same kind.

    Args:
        job: Training to launch.
        region: AWS region of the jobs.
        jobs: Number of jobs.

    Raises:
        InputError: The price is not known.
    """
    return calculate_max_cost(
        job.instance_type,
        job.hours,
        region,
        price=job.hourly_price,
        component=TRAINING,
        jobs=jobs,
    )


def check_training(job: TrainingJob, deployment: Deployment) -> None:
    """Check that the job can read its data and, if it resumes, its checkpoint.

    Raises:
        InputError: The data cannot be read, the checkpoints are not the stack's, or there is no
            checkpoint of a training with these options.
    """
    check_inputs(job.channels, deployment)
    if job.checkpoints is None:
        return
    if not f"{job.checkpoints}/".startswith(f"{deployment.jobs_uri}/"):
        raise InputError(
            f"{job.checkpoints} is not below {deployment.jobs_uri}/, where the stack "
            f"{deployment.stack!r} keeps checkpoints; give an address below it"
        )
    if not storage.exists(storage.join(job.checkpoints, job.options.digest, CHECKPOINT_FILE)):
        raise InputError(
            f"{job.checkpoints} has no checkpoint of a training with these options; give the "
            "original --options and --set"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedTraining:
    """A training that was started."""

    name: str
    """Name of the training job."""
    package: str
    """S3 URI to which the model package will be written."""
    checkpoints: str
    """S3 URI of the checkpoints, from which another launch can resume."""


def launch_training(job: TrainingJob, deployment: Deployment) -> LaunchedTraining:
    """Start a training.

    Raises:
        InputError: The SDK is not installed, the stack does not train, or `check_training` refuses
            the job.
    """
    check_training(job, deployment)
    trainer = make_trainer(job, deployment)
    trainer.train(input_data_config=upload_channels(job, deployment), wait=False, logs=False)
    name: str = trainer._latest_training_job.training_job_name  # noqa: SLF001 (it has no public name)
    return LaunchedTraining(
        name=name,
        package=storage.join(deployment.jobs_uri, "output", name, "output/model.tar.gz"),
        checkpoints=trainer.checkpoint_config.s3_uri,
    )


def make_trainer(job: TrainingJob, deployment: Deployment) -> Any:
    """Return the SDK's `ModelTrainer` for a job.

    Raises:
        InputError: The SDK is not installed, or the stack does not train.
    """
    role, image = deployment.training_role, deployment.training_image
    session = open_session(deployment)
    from sagemaker.core.shapes import MetricDefinition  # noqa: PLC0415
    from sagemaker.core.training.configs import (  # noqa: PLC0415
        CheckpointConfig,
        Compute,
        OutputDataConfig,
        StoppingCondition,
    )
    from sagemaker.train.model_trainer import ModelTrainer  # noqa: PLC0415

    folder = deployment.jobs_uri
    seconds = round(job.hours * _SECONDS_PER_HOUR)
    max_wait = {"max_wait_time_in_seconds": seconds + _SECONDS_PER_DAY} if job.spot else {}
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=role,
        training_image=image,
        base_job_name=unique_name(
            job.options.name, max_length=MAX_JOB_NAME_LENGTH - _TIMESTAMP_LENGTH
        ),
        compute=Compute(
            instance_type=job.instance_type,
            instance_count=1,
            volume_size_in_gb=job.volume_gib,
            enable_managed_spot_training=job.spot,
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=seconds, **max_wait),
        output_data_config=OutputDataConfig(s3_output_path=storage.join(folder, "output")),
        checkpoint_config=CheckpointConfig(
            # A new training has its own folder: other checkpoints may be from other labels.
            s3_uri=job.checkpoints or storage.join(folder, "checkpoints", uuid.uuid4().hex),
            local_path=CONTAINER_CHECKPOINT_FOLDER,
        ),
        hyperparameters=to_hyperparameters(_with_time_limit(job.options, job.hours))
        | dict(job.label_options)
        | {LAUNCH_HYPERPARAMETER: uuid.uuid4().hex},
        tags=_tags(job),
    )
    return trainer.with_metric_definitions(
        [MetricDefinition(name=name, regex=regex) for name, regex in METRIC_REGEXES.items()]
    )


def to_hyperparameters(options: TrainOptions) -> dict[str, str]:
    """Return the options that differ from their defaults as hyperparameters, which are strings."""
    defaults = type(options)().to_json()
    flat: dict[str, Any] = {}
    for name, value in options.to_json().items():
        if value == defaults[name]:
            continue
        prefix = _NESTED_PREFIXES.get(name)
        flat |= {prefix + key: one for key, one in value.items()} if prefix else {name: value}
    return {name: to_hyperparameter(value) for name, value in flat.items()}


def upload_channels(job: TrainingJob, deployment: Deployment) -> list[Any]:
    """Upload a job's local data, and return the SDK's description of its input channels.

    Raises:
        InputError: As `upload_inputs` raises it.
    """
    from sagemaker.core.training.configs import InputData  # noqa: PLC0415

    # swath uploads the data itself: where the SDK would upload to depends on its caller's IAM
    # permissions.
    channels = upload_inputs(job.channels, deployment)
    return [InputData(channel_name=name, data_source=source) for name, source in channels.items()]


def _with_time_limit(options: TrainOptions, hours: float) -> TrainOptions:
    """Return options with a time limit, so that the training exports before SageMaker stops it.

    Args:
        options: Training options; a time limit in them is kept.
        hours: Time limit of the job in hours.
    """
    if options.minutes is not None:
        return options
    total = 60 * hours
    margin = min(max(total / 10, _MIN_MARGIN_MINUTES), _MAX_MARGIN_MINUTES, total / 2)
    return msgspec.structs.replace(options, minutes=round(total - margin, 1))


def _tags(job: TrainingJob) -> list[Any]:
    from sagemaker.core.shapes import Tag  # noqa: PLC0415

    return [Tag(key=key, value=value) for key, value in job.tags.items()]
