"""Trains a model: `python -m sagemaker_jobs.train_model [train]`, which is how SageMaker calls it.

    input/data/images       the scenes to train on
    input/data/labels       their labels; absent where they lie beside the images
    input/data/val_images   the scenes to validate on, if they are not among `images`
    input/data/val_labels   their labels; where there are none, there is no such collection
    input/config/hyperparameters.json   swath's TrainOptions; `form`, `classes`, `map` of the labels
    checkpoints             what an interrupted job goes on from
    model                   the model package
    output/data             `report.html` and `metrics.json`
    output/failure          why the job failed

SIGTERM comes two minutes before a Spot host is reclaimed, when the job's time is over, and when
somebody stops the job: nothing tells which. The step at work is finished then and a checkpoint
left, which SageMaker keeps in S3 and puts back where the job is started again. After it, once an
epoch is over, comes the package of the best weights so far: SageMaker keeps what is in `model` of a
job that was stopped, and drops it of one that goes on.
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

from sagemaker_jobs.train_model.folders import Folders
from swath.errors import InputError
from swath.errors.exit_codes import JobExit
from swath.models.runtimes.device import describe, find_gpu, use_compatible_driver
from swath.observability.jobs import log_to_stderr, run_job
from swath.sagemaker.jobs.reason import write_reason
from swath.settings import has_gpu
from swath.training.contract import LAUNCH
from swath.training.log_lines import line_of
from swath.training.options import TrainOptions

CHANNELS = ("images", "labels", "val_images", "val_labels")
_OF_LABELS = ("form", "classes", "map")

logger = logging.getLogger("swath.train_model")


def main(arguments: Sequence[str], env: Mapping[str, str]) -> JobExit:
    """Train as the job's folders say."""
    if list(arguments) not in ([], ["train"]):
        sys.stderr.write(f"{__doc__}\n")
        return JobExit.USAGE
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    folders = Folders.of(env, CHANNELS)

    def leave(error: Exception, code: JobExit) -> None:
        if code is not JobExit.INTERRUPTED:
            write_reason(folders.failure, f"{type(error).__name__}: {error}")

    return run_job(lambda: _train(folders, stopping.is_set), logger=logger, leave=leave)


def _train(folders: Folders, stop: Callable[[], bool]) -> JobExit:
    given = folders.hyperparameters()
    of_labels = {name: given.pop(name) for name in _OF_LABELS if name in given}
    launch = given.pop(LAUNCH, "")
    options = TrainOptions.from_strings(given)
    _find_gpu(folders.instance_type)
    # torch is imported once the hyperparameters are known to be right.
    from swath.training.job import TrainJob  # noqa: PLC0415
    from swath.training.train import PACKAGE  # noqa: PLC0415

    job = TrainJob.of(options, of_labels)
    images = folders.channel("images")
    if images is None:
        raise InputError(
            f"there is no channel images: {folders.channels['images']} is no folder; give the job "
            "that channel"
        )
    try:
        report = job.run(
            labels=folders.channel("labels"),
            images=images,
            val_labels=folders.channel("val_labels"),
            val_images=folders.channel("val_images"),
            out=folders.data,
            # The trainings of a search share what SageMaker keeps in S3; their options differ.
            checkpoints=folders.checkpoints / options.digest,
            stop=stop,
            tell=lambda point: print(line_of(point), flush=True),  # noqa: T201 (SageMaker reads it)
            launch=launch,
            export_if_stopped=True,
        )
        logger.info("trained: %s", report.metrics)
    finally:
        _move(folders.data / PACKAGE, folders.model)
    return JobExit.DONE


def _find_gpu(instance_type: str) -> None:
    """Look for the host's GPU.

    Raises:
        NoGpuError: the type of the host has one, and it cannot be used.
    """
    gpu = find_gpu(f"the host is an {instance_type}" if has_gpu(instance_type) else "")
    on = describe("cuda" if gpu else "cpu")
    logger.info("training on %s", f"{on.name}, driver {on.driver or 'unknown'}" if gpu else on.name)


def _move(package: Path, model: Path) -> None:
    """Put the package's files, if any, where SageMaker makes `model.tar.gz` of what it finds."""
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
