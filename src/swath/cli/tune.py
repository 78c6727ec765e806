"""`swath tune`: a search for the hyperparameters of a training, here or on SageMaker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from swath.cli.remote import (
    HourlyPrice,
    Hours,
    Images,
    InstanceType,
    LabelForm,
    Labels,
    Local,
    OnDemand,
    OptionsFile,
    Out,
    Stack,
    ValImages,
    ValLabels,
    Yes,
    agree,
    channels_of,
)
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.training.options import TrainOptions
    from swath.training.search import Outcome


def tune(
    labels: Labels,
    images: Images,
    *,
    search: Annotated[
        str, typer.Option(help="A JSON or TOML file: what may vary, and how far.", metavar="FILE")
    ],
    val_labels: ValLabels = None,
    val_images: ValImages = None,
    form: LabelForm = "auto",
    options: OptionsFile = None,
    local: Local = False,
    out: Out = None,
    at_once: Annotated[
        int, typer.Option(help="How many hosts train.", min=1, rich_help_panel="On SageMaker")
    ] = 2,
    stack: Stack = "swath",
    instance_type: InstanceType = "ml.g5.xlarge",
    hours: Hours = 2,
    on_demand: OnDemand = False,
    hourly_price: HourlyPrice = None,
    yes: Yes = False,
) -> None:
    """Train many models, each with other options, and tell which did best."""
    from swath.training.options import read_options  # noqa: PLC0415
    from swath.training.search import read_search  # noqa: PLC0415

    console = Console()
    known = read_options(options)
    wanted = read_search(search, known)
    data = channels_of(labels, images, val_labels, val_images)
    if local:
        if out is None:
            raise InputError("--local needs a folder to write to; give --out")
        from swath.training.search import run_search  # noqa: PLC0415

        outcome = run_search(wanted, known, _Here(data, form, console), out)
        _tell(console, wanted.metric, outcome)
        return
    from swath.launching.deployment import Deployment  # noqa: PLC0415
    from swath.launching.train import TrainingJob, ceiling_of, check  # noqa: PLC0415
    from swath.launching.tune import TuningJob, launch_tuning  # noqa: PLC0415

    deployment = Deployment.of(stack)
    training = TrainingJob(
        options=known,
        channels=data,
        of_labels={"form": form},
        instance_type=instance_type,
        hours=hours,
        spot=not on_demand,
        hourly_price=hourly_price,
    )
    check(training, deployment)
    agree(console, ceiling_of(training, deployment.region, jobs=wanted.trials), yes=yes)
    job = TuningJob(training=training, search=wanted, at_once=at_once)
    name, checkpoints = launch_tuning(job, deployment)
    console.print(
        f"started the tuning job {name}\ngo on with one of its trainings later by `swath train` "
        f"with its options and --checkpoints {checkpoints}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


class _Here:
    """Trains on this machine, in a folder that a stopped training is found in again."""

    def __init__(self, data: Mapping[str, str], form: str, console: Console) -> None:
        self._data, self._form, self._console = data, form, console

    def __call__(self, options: TrainOptions, out: Path) -> Mapping[str, float]:
        """The metrics of a model trained with these options."""
        from swath.training.figures import line_of  # noqa: PLC0415 (torch comes with the next)
        from swath.training.job import TrainJob  # noqa: PLC0415

        report = TrainJob.of(options, {"form": self._form}).run(
            labels=self._data.get("labels"),
            images=self._data["images"],
            val_labels=self._data.get("val_labels"),
            val_images=self._data.get("val_images"),
            out=out,
            checkpoints=out / "checkpoints",
            stop=lambda: False,
            tell=lambda point: self._console.print(
                f"{out.name}: {line_of(point)}", markup=False, highlight=False, soft_wrap=True
            ),
        )
        return report.metrics


def _tell(console: Console, metric: str, outcome: Outcome) -> None:
    chosen = " ".join(f"--set {name}={value}" for name, value in outcome.chosen.items())
    console.print(
        f"best {metric} {outcome.value:.4f}: {chosen}\n{outcome.folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
