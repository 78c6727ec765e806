"""`swath run`: a scene through a model, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from swath.cli.numbers import finite
from swath.payloads import RunOptions


def run(
    scene: Annotated[str, typer.Argument(help="The scene: a file or an S3 URI.")],
    model: Annotated[
        str, typer.Option(help="The model package: a folder, a model.tar.gz or an S3 URI of one.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)],
    database: Annotated[
        str | None,
        typer.Option(
            help="Load the detections into this PostGIS too: a DSN or URL.",
            envvar="SWATH_DATABASE_URL",
        ),
    ] = None,
    tolerated_failures: Annotated[
        float,
        typer.Option(help="The share of tiles that may fail.", min=0, max=1, callback=finite),
    ] = 0.0,
) -> None:
    """Find what a model sees in a scene; write detections.parquet and summary.json."""
    # GDAL, ONNX Runtime and Arrow are imported once there is work: `--help` answers at once.
    from swath.local import run_local  # noqa: PLC0415
    from swath.output_folder import DETECTIONS  # noqa: PLC0415

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as display:
        task = display.add_task("shards", total=None)
        report = run_local(
            scene,
            model,
            out,
            database=database,
            options=RunOptions(tolerated_failures=tolerated_failures),
            progress=lambda done, of: display.update(task, completed=done, total=of),
        )
    for warning in report.warnings:
        Console(stderr=True).print(
            f"warning: {warning}", markup=False, highlight=False, soft_wrap=True
        )
    tiles = report.tiles
    console.print(
        f"{report.detections} detections in {tiles.planned} tiles "
        f"({tiles.skipped} skipped, {tiles.failed} failed): {out / DETECTIONS}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
