"""Train a model: `python -m sagemaker_jobs.train_model [train]`, which is how SageMaker calls it.

    input/data/images       scenes to train on
    input/data/labels       their labels; absent if they lie beside the images
    input/data/val_images   scenes to validate on, if they are not among `images`
    input/data/val_labels   their labels; absent if they lie beside `val_images`
    input/config/hyperparameters.json   swath's TrainOptions; `form`, `classes`, `map` of the labels
    checkpoints             checkpoints, from which an interrupted job resumes
    model                   model package
    output/data             `report.html` and `metrics.json`
    output/failure          reason of the job's failure

Without both `val_images` and `val_labels`, there is no separate validation collection.

SageMaker sends SIGTERM two minutes before it reclaims a Spot host, when the job's time limit is
reached, and when a user stops the job. The job cannot distinguish these cases. It finishes the
current step and saves a checkpoint, which SageMaker keeps in S3 and restores when it restarts the
job. If at least one epoch is over, the job then exports the package of the best weights so far.
SageMaker keeps the folder `model` of a stopped job, and discards that of a job that it restarts.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sagemaker_jobs.train_model.folders import JobFolders
from swath.errors import InputError
from swath.errors.exit_codes import JobExit
from swath.models.runtimes.device import describe, runs_on_gpu, use_compatible_driver
from swath.observability.jobs import log_to_stderr, run_job
from swath.sagemaker.jobs.reason import write_reason
from swath.settings import has_gpu
from swath.training.contract import LAUNCH_HYPERPARAMETER
from swath.training.log_lines import format_log_line
from swath.training.options import TrainOptions

CHANNELS = ("images", "labels", "val_images", "val_labels")
"""Names of the input channels."""
_LABEL_OPTIONS = ("form", "classes", "map")
"""Names of the hyperparameters that describe the labels."""

logger = logging.getLogger("swath.train_model")


def main(arguments: Sequence[str], env: Mapping[str, str]) -> JobExit:
    """Train with the data and hyperparameters of the job's folders.

    Args:
        arguments: Command line arguments: none, or `train`.
        env: Environment variables.

    Returns:
        Exit code of the job.
    """
    if list(arguments) not in ([], ["train"]):
        sys.stderr.write(f"{__doc__}\n")
        return JobExit.USAGE
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    folders = JobFolders.from_env(env, CHANNELS)

    def leave(error: Exception, code: JobExit) -> None:
        if code is not JobExit.INTERRUPTED:
            write_reason(folders.failure, f"{type(error).__name__}: {error}")

    return run_job(lambda: _train(folders, stopping.is_set), logger=logger, on_error=leave)


def _train(folders: JobFolders, stop: Callable[[], bool]) -> JobExit:
    hyperparameters = folders.hyperparameters()
    label_options = {
        name: hyperparameters.pop(name) for name in _LABEL_OPTIONS if name in hyperparameters
    }
    launch = hyperparameters.pop(LAUNCH_HYPERPARAMETER, "")
    options = TrainOptions.from_strings(hyperparameters)
    _check_gpu(folders.instance_type)
    # torch is imported only after the hyperparameters are checked.
    from swath.training.runner import TrainRunner  # noqa: PLC0415
    from swath.training.train import PACKAGE  # noqa: PLC0415

    runner = TrainRunner.from_strings(options, label_options)
    images = folders.channel("images")
    if images is None:
        raise InputError(
            f"the channel images is missing: {folders.channels['images']} is not a folder; give "
            "the job that channel"
        )
    try:
        report = runner.run(
            labels=folders.channel("labels"),
            images=images,
            val_labels=folders.channel("val_labels"),
            val_images=folders.channel("val_images"),
            out=folders.data,
            # The trainings of a search share a checkpoint location in S3, but differ in options.
            checkpoints=folders.checkpoints / options.digest,
            stop=stop,
            on_epoch=lambda point: print(format_log_line(point), flush=True),  # noqa: T201 (SageMaker reads it)
            launch=launch,
            export_if_stopped=True,
        )
        logger.info("trained: %s", report.metrics)
    finally:
        _move_package(folders.data / PACKAGE, folders.model)
    return JobExit.DONE


def _check_gpu(instance_type: str) -> None:
    """Log the device to train on, and check that the host's GPU can be used.

    Raises:
        NoGpuError: The instance type has a GPU, but it cannot be used.
    """
    gpu = runs_on_gpu(f"the host is an {instance_type}" if has_gpu(instance_type) else "")
    device = describe("cuda" if gpu else "cpu")
    logger.info(
        "training on %s",
        f"{device.name}, driver {device.driver or 'unknown'}" if gpu else device.name,
    )


def _move_package(package: Path, model: Path) -> None:
    """Move the package's files, if any, to the folder that SageMaker packs as `model.tar.gz`."""
    if not package.is_dir():
        return
    model.mkdir(parents=True, exist_ok=True)
    for path in package.iterdir():
        shutil.move(path, model / path.name)
    package.rmdir()


if __name__ == "__main__":
    use_compatible_driver(os.environ)
    log_to_stderr()
    sys.exit(main(sys.argv[1:], os.environ))
