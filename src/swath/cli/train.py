"""`swath train`: from labelled scenes to a model package."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from swath.errors import InputError

NO_LABELS = "-"
CHECKPOINTS = "checkpoints"


def train(
    labels: Annotated[
        str, typer.Argument(help=f"The labels, or {NO_LABELS} where they lie beside the images.")
    ],
    images: Annotated[str, typer.Argument(help="The folder of the scenes, or its S3 URI.")],
    *,
    out: Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)],
    val_labels: Annotated[
        str | None, typer.Option(help="Labels of the scenes to validate on.")
    ] = None,
    val_images: Annotated[
        str | None, typer.Option(help="The folder of those scenes; by default, IMAGES.")
    ] = None,
    form: Annotated[
        str, typer.Option(help="Of the labels: auto, coco, geojson or spacenet.")
    ] = "auto",
    classes: Annotated[
        str, typer.Option(help="Names of the classes, in the order wanted, between commas.")
    ] = "",
    options: Annotated[
        str | None, typer.Option(help="A JSON or TOML file of options.", metavar="FILE")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="An option, as epochs=20; may be repeated.", metavar="KEY=VALUE"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was begun in --out.")
    ] = False,
) -> None:
    """Train a model on this machine; write its package, report.html and metrics.json."""
    # torch is imported once there is work: `--help` answers at once.
    from swath.training.figures import line_of  # noqa: PLC0415
    from swath.training.job import TrainJob  # noqa: PLC0415
    from swath.training.options import read_options  # noqa: PLC0415
    from swath.training.report import REPORT  # noqa: PLC0415

    console = Console()
    job = TrainJob.of(read_options(options, changes or []), {"form": form, "classes": classes})
    checkpoints = out / CHECKPOINTS
    _check(checkpoints, resume=resume)
    with _stopping() as stop:
        report = job.run(
            labels=None if labels == NO_LABELS else labels,
            images=images,
            val_labels=val_labels,
            val_images=val_images,
            out=out,
            checkpoints=checkpoints,
            stop=stop,
            tell=lambda point: _print(console, line_of(point)),
        )
    _print(console, f"{report.package}: {_figures(report.metrics)}; see {out / REPORT}")


def _check(checkpoints: Path, *, resume: bool) -> None:
    """Refuse to go on unasked, and to go on with nothing."""
    begun = (checkpoints / "checkpoint.pt").is_file()
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
