"""`swath evaluate`: how good a model package is, and whether it may be published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from swath.cli.numbers import finite
from swath.cli.remote import (
    NO_LABELS,
    PANEL,
    HourlyPrice,
    Hours,
    InstanceType,
    Stack,
    Yes,
    agree,
)
from swath.errors import GateError, InputError

if TYPE_CHECKING:
    from swath.evaluation.evaluate import Progress as Told
    from swath.evaluation.evaluation import Evaluation
    from swath.launching.evaluate import EvaluationJob


def evaluate(
    package: Annotated[
        str, typer.Argument(help="The model package: a folder, a model.tar.gz or an S3 URI of one.")
    ],
    labels: Annotated[
        str,
        typer.Argument(
            help=f"The labels: a file or a folder, or {NO_LABELS} where they lie with the images."
        ),
    ],
    images: Annotated[str, typer.Argument(help="The folder of the scenes, or its S3 URI.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; here.", file_okay=False)
    ] = None,
    form: Annotated[
        str, typer.Option(help="Of the labels: coco, geojson or spacenet; auto tells from them.")
    ] = "auto",
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="A class's name; of labels without classes, give the one."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="The package in use, or its evaluation.json: refuse what falls below."),
    ] = None,
    fail_below: Annotated[
        list[str] | None,
        typer.Option(help="What a figure must be, as AP50=0.3; may be repeated.", metavar="F=X"),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="By how much a figure may fall below the one in use.", min=0, callback=finite
        ),
    ] = 0.0,
    score_floor: Annotated[
        float,
        typer.Option(
            help="From which score on detections enter the curves.",
            min=0,
            max=1,
            callback=finite,
        ),
    ] = 0.01,
    tolerated_failures: Annotated[
        float,
        typer.Option(
            help="The share of a scene's tiles that may fail.", min=0, max=1, callback=finite
        ),
    ] = 0.0,
    on_sagemaker: Annotated[
        bool,
        typer.Option("--on-sagemaker", help="As a Processing job.", rich_help_panel=PANEL),
    ] = False,
    stack: Stack = "swath",
    instance_type: InstanceType = "ml.m5.xlarge",
    hours: Hours = 2,
    hourly_price: HourlyPrice = None,
    yes: Yes = False,
) -> None:
    """Measure a model package on labelled scenes; write evaluation.json and report.html."""
    # The engine is imported once there is work: `--help` answers at once.
    from swath.evaluation.assess import assess, parse_bounds, to_form  # noqa: PLC0415
    from swath.evaluation.evaluate import REPORT  # noqa: PLC0415
    from swath.labels.read import read_collection  # noqa: PLC0415

    bounds = parse_bounds(fail_below or [])
    known_form = to_form(form)
    console = Console()
    if on_sagemaker:
        if out is not None:
            raise InputError("--out is for this machine; a job writes to the results bucket")
        from swath.launching.evaluate import EvaluationJob  # noqa: PLC0415

        job = EvaluationJob(
            package=package,
            images=images,
            labels=None if labels == NO_LABELS else labels,
            against=against,
            arguments=_arguments(
                {
                    "--form": [form],
                    "--class": classes or [],
                    "--fail-below": fail_below or [],
                    "--tolerance": [tolerance],
                    "--score-floor": [score_floor],
                    "--tolerated-failures": [tolerated_failures],
                }
            ),
            instance_type=instance_type,
            hours=hours,
            hourly_price=hourly_price,
        )
        _launch(console, job, stack, yes=yes)
        return
    if out is None:
        raise InputError("give the folder to write to by --out, or --on-sagemaker")
    collection = read_collection(
        None if labels == NO_LABELS else labels, images, form=known_form, classes=classes or None
    )
    with _display(console) as told:
        evaluation, verdict = assess(
            package,
            collection,
            out,
            against=against,
            fail_below=bounds,
            tolerance=tolerance,
            score_floor=score_floor,
            tolerated_failures=tolerated_failures,
            progress=told,
        )
    for warning in evaluation.warnings:
        Console(stderr=True).print(
            f"warning: {warning}", markup=False, highlight=False, soft_wrap=True
        )
    console.print(_table(evaluation))
    console.print(f"report: {out / REPORT}", markup=False, highlight=False, soft_wrap=True)
    if not verdict.passed:
        raise GateError(str(verdict))


def _arguments(options: Mapping[str, Sequence[str | float]]) -> list[str]:
    """Return the options as the job's container takes them."""
    return [word for name, values in options.items() for one in values for word in (name, str(one))]


def _launch(console: Console, job: EvaluationJob, stack: str, *, yes: bool) -> None:
    from swath.launching.deployment import Deployment  # noqa: PLC0415 (boto3 takes its time)
    from swath.launching.evaluate import ceiling_of, check, launch  # noqa: PLC0415

    deployment = Deployment.of(stack)
    check(job, deployment)
    agree(console, ceiling_of(job, deployment.region), yes=yes)
    started = launch(job, deployment)
    for text in (
        f"started the processing job {started.name}",
        f"its report will be below {started.report}",
    ):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _display(console: Console) -> Iterator[Told]:
    """A bar for each scene, while it is run."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as display:
        task = display.add_task("", total=None)

        def tell(scene: str, done: int, of: int) -> None:
            name = scene.rsplit("/", 1)[-1]
            display.update(task, description=name, completed=done, total=of)

        yield tell


def _table(evaluation: Evaluation) -> Table:
    """The figures that have a value."""
    table = Table("figure", "value", title=f"{evaluation.package.name}, all classes")
    for name, value in evaluation.figures.items():
        if value is not None:
            table.add_row(name, f"{value:.4f}")
    return table
