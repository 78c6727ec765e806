"""`swath train`: from labelled scenes to a model package, here or on SageMaker."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from swath.cli.remote import (
    PANEL,
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
from swath.training.contract import CHECKPOINT

if TYPE_CHECKING:
    from swath.launching.train import TrainingJob
    from swath.training.options import TrainOptions

CHECKPOINTS = "checkpoints"


def train(
    labels: Labels,
    images: Images,
    *,
    val_labels: ValLabels = None,
    val_images: ValImages = None,
    form: LabelForm = "auto",
    classes: Annotated[
        str, typer.Option(help="Names of the classes, in the order wanted, between commas.")
    ] = "",
    options: OptionsFile = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="An option, as epochs=20; may be repeated.", metavar="KEY=VALUE"
        ),
    ] = None,
    local: Local = False,
    out: Out = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="With --local: go on with the training that was begun in --out."
        ),
    ] = False,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Go on with an earlier launch, from the S3 URI of its checkpoints.",
            metavar="URI",
            rich_help_panel=PANEL,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="With --local: train so many times, each time without some of the scenes, to "
            "measure what these options are worth on scenes that the model never saw.",
            min=2,
        ),
    ] = None,
    stack: Stack = "swath",
    instance_type: InstanceType = "ml.g5.xlarge",
    hours: Hours = 2,
    on_demand: OnDemand = False,
    hourly_price: HourlyPrice = None,
    yes: Yes = False,
) -> None:
    """Train a model, here or on SageMaker, to a package with report.html and metrics.json."""
    # Imported once there is work: `--help` answers at once.
    from swath.training.options import read_options  # noqa: PLC0415

    console = Console()
    chosen = read_options(options, changes or [])
    of_labels = {"form": form, "classes": classes}
    data = channels_of(labels, images, val_labels, val_images)
    if local:
        if out is None:
            raise InputError("--local needs a folder to write to; give --out")
        if checkpoints:
            raise InputError("--checkpoints is for SageMaker; with --local, --resume goes on")
        if folds:
            _cross_validate_here(console, chosen, data, of_labels, out, folds=folds)
        else:
            _train_here(console, chosen, data, of_labels, out, resume=resume)
        return
    if out is not None or resume or folds:
        raise InputError(
            "--out, --resume and --folds are for trainings on this machine, with --local; "
            "SageMaker's write to the results bucket, and --checkpoints goes on with one"
        )
    from swath.launching.train import TrainingJob  # noqa: PLC0415

    job = TrainingJob(
        options=chosen,
        channels=data,
        of_labels={name: value for name, value in of_labels.items() if value},
        checkpoints=checkpoints.rstrip("/") if checkpoints else None,
        instance_type=instance_type,
        hours=hours,
        spot=not on_demand,
        hourly_price=hourly_price,
    )
    _launch(console, job, stack, yes=yes)


def _train_here(
    console: Console,
    options: TrainOptions,
    data: Mapping[str, str],
    of_labels: Mapping[str, str],
    out: Path,
    *,
    resume: bool,
) -> None:
    from swath.training.figures import line_of  # noqa: PLC0415
    from swath.training.job import TrainJob  # noqa: PLC0415 (torch comes with it)
    from swath.training.report import REPORT  # noqa: PLC0415

    job = TrainJob.of(options, of_labels)
    checkpoints = out / CHECKPOINTS
    _check(checkpoints, resume=resume)
    with _stopping() as stop:
        report = job.run(
            labels=data.get("labels"),
            images=data["images"],
            val_labels=data.get("val_labels"),
            val_images=data.get("val_images"),
            out=out,
            checkpoints=checkpoints,
            stop=stop,
            tell=lambda point: _print(console, line_of(point)),
        )
    _print(console, f"{report.package}: {_figures(report.metrics)}; see {out / REPORT}")


def _cross_validate_here(
    console: Console,
    options: TrainOptions,
    data: Mapping[str, str],
    of_labels: Mapping[str, str],
    out: Path,
    *,
    folds: int,
) -> None:
    from swath.training.cross_validation import FOLDS  # noqa: PLC0415
    from swath.training.figures import line_of  # noqa: PLC0415
    from swath.training.job import TrainJob  # noqa: PLC0415 (torch comes with it)

    if data.keys() & {"val_labels", "val_images"}:
        raise InputError("--folds validates on the scenes themselves: leave --val-… out")
    with _stopping() as stop:
        found = TrainJob.of(options, of_labels).cross_validate(
            labels=data.get("labels"),
            images=data["images"],
            count=folds,
            out=out,
            stop=stop,
            tell=lambda number: lambda point: _print(console, f"fold={number}; {line_of(point)}"),
        )
    for fold in found.folds:
        _print(console, f"{', '.join(fold.scenes)}: {_figures(fold.metrics)}")
    _print(console, f"mean of {folds} folds: {_figures(found.mean)}; see {out / FOLDS}")


def _launch(console: Console, job: TrainingJob, stack: str, *, yes: bool) -> None:
    from swath.launching.deployment import Deployment  # noqa: PLC0415 (boto3 takes its time)
    from swath.launching.train import ceiling_of, check, launch  # noqa: PLC0415

    deployment = Deployment.of(stack)
    check(job, deployment)
    agree(console, ceiling_of(job, deployment.region), yes=yes)
    started = launch(job, deployment)
    _print(console, f"started the training job {started.name}")
    _print(console, f"its package will be {started.package}")
    _print(console, f"go on with it later by --checkpoints {started.checkpoints}")


def _check(checkpoints: Path, *, resume: bool) -> None:
    """Refuse to go on unasked, and to go on with nothing."""
    begun = (checkpoints / CHECKPOINT).is_file()
    if begun and not resume:
        raise InputError(
            f"{checkpoints} has the checkpoint of a training: go on with it by --resume, or give "
            "another --out"
        )
    if resume and not begun:
        raise InputError(f"{checkpoints} has no checkpoint to go on from: leave --resume out")


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C or SIGTERM asks the training to leave a checkpoint; a second one ends it."""
    stopping = threading.Event()

    def stop(number: int, frame: Any) -> None:
        del frame
        stopping.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, stop)
    try:
        yield stopping.is_set
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _figures(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()) or "not validated"
