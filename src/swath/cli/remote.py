"""Options that commands with jobs on SageMaker share: data, hosts, and consent to the cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.numbers import finite

if TYPE_CHECKING:
    from rich.console import Console

    from swath.launching.costs import Ceiling

PANEL = "On SageMaker"
NO_LABELS = "-"

Labels = Annotated[
    str, typer.Argument(help=f"The labels, or {NO_LABELS} where they lie beside the images.")
]
Images = Annotated[str, typer.Argument(help="The folder of the scenes, or its S3 URI.")]
ValLabels = Annotated[str | None, typer.Option(help="Labels of the scenes to validate on.")]
ValImages = Annotated[
    str | None, typer.Option(help="The folder of those scenes; by default, IMAGES.")
]
LabelForm = Annotated[str, typer.Option(help="Of the labels: auto, coco, geojson or spacenet.")]
OptionsFile = Annotated[
    str | None, typer.Option(help="A JSON or TOML file of options.", metavar="FILE")
]
Local = Annotated[bool, typer.Option("--local", help="On this machine.")]
Out = Annotated[
    Path | None, typer.Option(help="With --local: the folder to write to.", file_okay=False)
]
Stack = Annotated[
    str,
    typer.Option(
        help="The deployed stack, whose role, image and bucket jobs use.", rich_help_panel=PANEL
    ),
]
InstanceType = Annotated[str, typer.Option(help="Of the hosts.", rich_help_panel=PANEL)]
Hours = Annotated[
    float,
    typer.Option(
        help="How long one job may take at most.", min=0.1, rich_help_panel=PANEL, callback=finite
    ),
]
OnDemand = Annotated[
    bool,
    typer.Option("--on-demand", help="Not on Spot capacity.", rich_help_panel=PANEL),
]
HourlyPrice = Annotated[
    float | None,
    typer.Option(
        help="US dollars for an hour of a host; by default, what AWS's price list says.",
        rich_help_panel=PANEL,
        callback=finite,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Start without asking about the cost.", rich_help_panel=PANEL),
]


def channels_of(
    labels: str, images: str, val_labels: str | None, val_images: str | None
) -> dict[str, str]:
    """The data of a training job, by the names that its container knows."""
    found = {
        "images": images,
        "labels": None if labels == NO_LABELS else labels,
        "val_labels": val_labels,
        # The container looks among `images` where there is no such channel.
        "val_images": val_images,
    }
    return {name: source for name, source in found.items() if source is not None}


def agree(console: Console, ceiling: Ceiling, *, yes: bool) -> None:
    """Show what it may cost, and go on only if that is agreed to."""
    console.print(f"This costs {ceiling}.", markup=False, highlight=False, soft_wrap=True)
    if not yes:
        typer.confirm("Start?", abort=True)
