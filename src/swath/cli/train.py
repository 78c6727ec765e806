"""Define `swath train`, which trains a model on this machine or on SageMaker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 (typer reads the annotations)

from swath.cli.console import print_line
from swath.cli.options import inputs, jobs
from swath.cli.remote import (
    check_options,
    confirm_cost,
    label_options,
    require_out,
    training_channels,
)
from swath.cli.stop_signals import stop_on_signals
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.sagemaker.jobs.train import TrainingJob
    from swath.training.options import TrainOptions


def train(
    context: typer.Context,
    labels: inputs.Labels,
    scenes: inputs.Scenes,
    *,
    val_labels: inputs.ValLabels = None,
    val_scenes: inputs.ValScenes = None,
    label_format: inputs.LabelFormat = "auto",
    classes: inputs.Classes = None,
    class_map: inputs.ClassMap = None,
    options_file: jobs.OptionsFile = None,
    settings: jobs.Assignments = None,
    local: jobs.Local = True,
    out: jobs.LocalOut = None,
    resume: jobs.Resume = False,
    folds: jobs.Folds = None,
    stack: jobs.Stack = "swath",
    instance_type: jobs.InstanceType = "ml.g5.xlarge",
    hours: jobs.Hours = 2,
    on_demand: jobs.OnDemand = False,
    hourly_price: jobs.HourlyPrice = None,
    yes: jobs.Yes = False,
    checkpoints: jobs.Checkpoints = None,
) -> None:
    """Train a model on labeled scenes; write its package, report.html and metrics.json.

    With --val-labels and without --val-scenes, SCENES also contains the validation scenes.
    """
    from swath.training.options import read_options

    check_options(context, local=local)
    options = read_options(options_file, settings or [])
    label_settings = label_options(label_format, classes, class_map)
    data = training_channels(labels, scenes, val_labels, val_scenes)
    if local:
        out = require_out(out)
        if folds:
            _cross_validate_locally(options, data, label_settings, out, folds=folds)
        else:
            _train_locally(options, data, label_settings, out, resume=resume)
        return
    from swath.sagemaker.jobs.train import TrainingJob

    job = TrainingJob(
        options=options,
        channels=data,
        label_options={name: value for name, value in label_settings.items() if value},
        checkpoints=checkpoints.rstrip("/") if checkpoints else None,
        instance_type=instance_type,
        hours=hours,
        spot=not on_demand,
        hourly_price=hourly_price,
    )
    _launch(job, stack, yes=yes)


def _train_locally(
    options: TrainOptions,
    data: Mapping[str, str],
    label_settings: Mapping[str, str],
    out: Path,
    *,
    resume: bool,
) -> None:
    from swath.training.log_lines import format_log_line
    from swath.training.report import REPORT_FILE
    from swath.training.runner import TrainRunner

    with stop_on_signals() as stop:
        report = TrainRunner.from_strings(options, label_settings).run_in_folder(
            out,
            labels=data.get("labels"),
            images=data["images"],
            val_labels=data.get("val_labels"),
            val_images=data.get("val_images"),
            resume=resume,
            stop=stop,
            on_epoch=lambda point: print_line(format_log_line(point)),
        )
    print_line(f"{report.package}: {_format_metrics(report.metrics)}; see {out / REPORT_FILE}")


def _cross_validate_locally(
    options: TrainOptions,
    data: Mapping[str, str],
    label_settings: Mapping[str, str],
    out: Path,
    *,
    folds: int,
) -> None:
    from swath.training.cross_validation import FOLDS_FILE
    from swath.training.log_lines import format_log_line
    from swath.training.runner import TrainRunner

    if data.keys() & {"val_labels", "val_images"}:
        raise InputError("--folds validates on parts of SCENES; omit --val-labels and --val-scenes")
    with stop_on_signals() as stop:
        result = TrainRunner.from_strings(options, label_settings).cross_validate(
            labels=data.get("labels"),
            images=data["images"],
            count=folds,
            out=out,
            stop=stop,
            on_epoch=lambda number: (
                lambda point: print_line(f"fold={number}; {format_log_line(point)}")
            ),
        )
    for fold in result.folds:
        print_line(f"{', '.join(fold.scenes)}: {_format_metrics(fold.metrics)}")
    print_line(f"mean of {folds} folds: {_format_metrics(result.mean)}; see {out / FOLDS_FILE}")


def _launch(job: TrainingJob, stack: str, *, yes: bool) -> None:
    from swath.sagemaker.jobs.train import check_training, launch_training, max_cost
    from swath.stack import Deployment

    deployment = Deployment.from_stack(stack)
    check_training(job, deployment)
    confirm_cost(max_cost(job, deployment.region), yes=yes)
    started = launch_training(job, deployment)
    print_line(f"started the training job {started.name}")
    print_line(f"its package will be at {started.package}")
    print_line(f"resume it later with --on-sagemaker --checkpoints {started.checkpoints}")


def _format_metrics(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()) or "not validated"
