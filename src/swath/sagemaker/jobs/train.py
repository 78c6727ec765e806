"""Trainings on SageMaker: the same container, options and data as on a laptop."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from swath import storage
from swath.errors import InputError
from swath.sagemaker.jobs.costs import TRAINING, Ceiling, ceiling
from swath.sagemaker.jobs.inputs import check_inputs, upload_inputs
from swath.sagemaker.jobs.names import MAX_JOB_NAME, unique_name
from swath.sagemaker.jobs.session import open_session
from swath.training.contract import CHECKPOINT, LAUNCH
from swath.training.log_lines import METRICS
from swath.training.options import OF_AUGMENTATION, OF_NETWORK
from swath.training.search import text_of

if TYPE_CHECKING:
    from swath.stack import Deployment
    from swath.training.options import TrainOptions

CHECKPOINTS = "/opt/ml/checkpoints"
_PREFIXES = {"network_options": OF_NETWORK, "augment": OF_AUGMENTATION}
_HOUR = 3600
_DAY = 24 * _HOUR
# The SDK appends a hyphen and the time in 14 digits.
_TIMESTAMP = 15
# For the download of image and data before the training, and for validation and export after it.
_MIN_MARGIN, _MAX_MARGIN = 6.0, 30.0
"""Minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """A training to be launched."""

    options: TrainOptions
    channels: Mapping[str, str]
    """By name, where the data of each lies: an S3 prefix, or a local path, which is uploaded."""
    of_labels: Mapping[str, str] = field(default_factory=dict)
    """`form`, `classes` and `map`, as far as they are given."""
    instance_type: str
    hours: float
    """After how many SageMaker stops the training."""
    checkpoints: str | None = None
    """The S3 URI where an earlier launch left its checkpoints, to go on from there."""
    spot: bool = True
    """On spare capacity, which costs less and may be taken away: then it goes on from its last
    checkpoint, for a day at most."""
    volume_gib: int = 100
    hourly_price: float | None = None
    """US dollars; by default, what AWS's price list says."""
    tags: Mapping[str, str] = field(default_factory=dict)


def ceiling_of(job: TrainingJob, region: str, *, jobs: int = 1) -> Ceiling:
    """What so many jobs of a kind may cost at most.

    Raises:
        InputError: the price is not known.
    """
    return ceiling(
        job.instance_type,
        job.hours,
        region,
        price=job.hourly_price,
        component=TRAINING,
        jobs=jobs,
    )


def check(job: TrainingJob, deployment: Deployment) -> None:
    """Check that the job can read its data and, if it goes on with another, its checkpoint.

    Raises:
        InputError: it cannot.
    """
    check_inputs(job.channels, deployment)
    if job.checkpoints is None:
        return
    if not f"{job.checkpoints}/".startswith(f"{deployment.jobs_uri}/"):
        raise InputError(
            f"{job.checkpoints} is not below {deployment.jobs_uri}/, where trainings of the stack "
            f"{deployment.stack!r} keep their checkpoints"
        )
    if not storage.exists(storage.join(job.checkpoints, job.options.digest, CHECKPOINT)):
        raise InputError(
            f"{job.checkpoints} has no checkpoint of a training with these options; give the "
            "--options and --set that it was launched with"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A training that was started."""

    name: str
    package: str
    """The S3 URI where its model package will lie."""
    checkpoints: str
    """The S3 URI of its checkpoints, from which another launch can go on."""


def launch(job: TrainingJob, deployment: Deployment) -> Launched:
    """Start a training.

    Raises:
        InputError: the SDK is not installed, the stack does not train, or `check` raises it.
    """
    check(job, deployment)
    trainer = make_trainer(job, deployment)
    trainer.train(input_data_config=inputs_of(job, deployment), wait=False, logs=False)
    name: str = trainer._latest_training_job.training_job_name  # noqa: SLF001 (it has no public name)
    return Launched(
        name=name,
        package=storage.join(deployment.jobs_uri, "output", name, "output/model.tar.gz"),
        checkpoints=trainer.checkpoint_config.s3_uri,
    )


def make_trainer(job: TrainingJob, deployment: Deployment) -> Any:
    """The SDK's `ModelTrainer` of a job.

    Raises:
        InputError: the SDK is not installed, or the stack does not train.
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
    seconds = round(job.hours * _HOUR)
    waits = {"max_wait_time_in_seconds": seconds + _DAY} if job.spot else {}
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=role,
        training_image=image,
        base_job_name=unique_name(job.options.name, most=MAX_JOB_NAME - _TIMESTAMP),
        compute=Compute(
            instance_type=job.instance_type,
            instance_count=1,
            volume_size_in_gb=job.volume_gib,
            enable_managed_spot_training=job.spot,
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=seconds, **waits),
        output_data_config=OutputDataConfig(s3_output_path=storage.join(folder, "output")),
        checkpoint_config=CheckpointConfig(
            # Of this launch alone: what another left belongs to other labels, maybe.
            s3_uri=job.checkpoints or storage.join(folder, "checkpoints", uuid.uuid4().hex),
            local_path=CHECKPOINTS,
        ),
        hyperparameters=hyperparameters_of(_within(job.options, job.hours))
        | dict(job.of_labels)
        | {LAUNCH: uuid.uuid4().hex},
        tags=_tags(job),
    )
    return trainer.with_metric_definitions(
        [MetricDefinition(name=name, regex=regex) for name, regex in METRICS.items()]
    )


def hyperparameters_of(options: TrainOptions) -> dict[str, str]:
    """The options that are not what they are by default, as SageMaker has them: all strings."""
    defaults = type(options)().to_json()
    flat: dict[str, Any] = {}
    for name, value in options.to_json().items():
        if value == defaults[name]:
            continue
        prefix = _PREFIXES.get(name)
        flat |= {prefix + key: one for key, one in value.items()} if prefix else {name: value}
    return {name: text_of(value) for name, value in flat.items()}


def inputs_of(job: TrainingJob, deployment: Deployment) -> list[Any]:
    """Return the SDK's channels of a job; data on this machine is uploaded.

    Raises:
        InputError: as `upload_inputs` raises it.
    """
    from sagemaker.core.training.configs import InputData  # noqa: PLC0415

    # Not by the SDK: where it uploads to depends on what its caller may ask of IAM.
    channels = upload_inputs(job.channels, deployment)
    return [InputData(channel_name=name, data_source=source) for name, source in channels.items()]


def _within(options: TrainOptions, hours: float) -> TrainOptions:
    """Options with which the training ends, and exports, before SageMaker stops it."""
    if options.minutes is not None:
        return options
    total = 60 * hours
    margin = min(max(total / 10, _MIN_MARGIN), _MAX_MARGIN, total / 2)
    return msgspec.structs.replace(options, minutes=round(total - margin, 1))


def _tags(job: TrainingJob) -> list[Any]:
    from sagemaker.core.shapes import Tag  # noqa: PLC0415

    return [Tag(key=key, value=value) for key, value in job.tags.items()]
