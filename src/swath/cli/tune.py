"""Define `swath tune`, which searches for the best training options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    from swath.training.search import Search, SearchResult


def tune(
    context: typer.Context,
    labels: inputs.Labels,
    scenes: inputs.Scenes,
    *,
    search: jobs.SearchFile,
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
    instances: jobs.Instances = 2,
    hours: jobs.Hours = 2,
    on_demand: jobs.OnDemand = False,
    hourly_price: jobs.HourlyPrice = None,
    yes: jobs.Yes = False,
) -> None:
    """Train models with different options, and report the best options.

    With --folds, options are compared by the mean metric of all folds.
    """
    from swath.training.options import read_options
    from swath.training.search import has_search, read_search, run_search

    check_options(context, local=local)
    options = read_options(options_file, settings or [])
    search_space = read_search(search, options)
    label_settings = label_options(label_format, classes, class_map)
    data = training_channels(labels, scenes, val_labels, val_scenes)
    if local:
        out = require_out(out)
        if folds and data.keys() & {"val_labels", "val_images"}:
            raise InputError(
                "--folds validates on parts of SCENES; omit --val-labels and --val-scenes"
            )
        _check_resume(out, begun=has_search(out), resume=resume)
        given = {**data, **label_settings, "folds": str(folds or "none")}
        with stop_on_signals() as stop:
            trainer = _LocalTrainer(data, label_settings, folds, stop)
            _print_best(search_space.metric, run_search(search_space, options, trainer, out, given))
        return
    from swath.sagemaker.jobs.train import TrainingJob

    training = TrainingJob(
        options=options,
        channels=data,
        label_options={name: value for name, value in label_settings.items() if value},
        instance_type=instance_type,
        hours=hours,
        spot=not on_demand,
        hourly_price=hourly_price,
    )
    _launch(training, search_space, stack, instances=instances, yes=yes)


def _launch(
    training: TrainingJob,
    search: Search,
    stack: str,
    *,
    instances: int,
    yes: bool,
) -> None:
    from swath.sagemaker.jobs.train import check_training, max_cost
    from swath.sagemaker.jobs.tune import TuningJob, launch_tuning
    from swath.stack import Deployment

    deployment = Deployment.from_stack(stack)
    check_training(training, deployment)
    confirm_cost(max_cost(training, deployment.region, jobs=search.trials), yes=yes)
    job = TuningJob(training=training, search=search, max_parallel=instances)
    name, checkpoints = launch_tuning(job, deployment)
    print_line(
        f"started the tuning job {name}\nresume one of its trainings later with `swath train "
        f"--on-sagemaker`, its options and --checkpoints {checkpoints}",
    )


def _check_resume(out: Path, *, begun: bool, resume: bool) -> None:
    """Check that --resume is given if, and only if, the folder contains an earlier search.

    Raises:
        InputError: The option and the folder contradict each other.
    """
    if begun and not resume:
        raise InputError(
            f"{out} contains an earlier search; resume it with --resume, or give another --out"
        )
    if resume and not begun:
        raise InputError(f"{out} contains no search to resume; omit --resume")


@dataclass(frozen=True, slots=True)
class _LocalTrainer:
    """Function that trains on this machine, in a folder from which a training can resume."""

    data: Mapping[str, str]
    label_settings: Mapping[str, str]
    folds: int | None
    stop: Callable[[], bool]

    def __call__(self, options: TrainOptions, out: Path) -> Mapping[str, float]:
        """Return the metrics of a model trained with these options, or their means over folds."""
        from swath.training.log_lines import format_log_line
        from swath.training.runner import TrainRunner

        job = TrainRunner.from_strings(options, self.label_settings)
        labels, images = self.data.get("labels"), self.data["images"]
        if self.folds:
            return job.cross_validate(
                labels=labels,
                images=images,
                count=self.folds,
                out=out,
                stop=self.stop,
                on_epoch=lambda number: (
                    lambda point: print_line(f"{out.name}: fold={number}; {format_log_line(point)}")
                ),
            ).mean
        return job.run(
            labels=labels,
            images=images,
            val_labels=self.data.get("val_labels"),
            val_images=self.data.get("val_images"),
            out=out,
            checkpoints=out / "checkpoints",
            stop=self.stop,
            on_epoch=lambda point: print_line(f"{out.name}: {format_log_line(point)}"),
        ).metrics


def _print_best(metric: str, outcome: SearchResult) -> None:
    chosen = " ".join(f"--set {name}={value}" for name, value in outcome.chosen.items())
    print_line(f"best {metric} {outcome.value:.4f}: {chosen}\n{outcome.folder}")
