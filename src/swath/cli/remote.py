"""Provide what the commands that can run on SageMaker share: options, data, and the cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from swath.cli.console import print_line
from swath.cli.options.inputs import NO_LABELS
from swath.cli.options.jobs import ON_SAGEMAKER, ON_THIS_MACHINE
from swath.errors import InputError
from swath.labels.renaming import parse_class_map

if TYPE_CHECKING:
    from swath.sagemaker.jobs.costs import MaxCost


def check_options(context: typer.Context, *, local: bool) -> None:
    """Check that no option is given that applies only to this machine or only to SageMaker.

    Args:
        context: Context of the command.
        local: Whether the command runs on this machine.

    Raises:
        InputError: Such an option is given. The error names the option and the remedy.
    """
    if local:
        panel, remedy = ON_SAGEMAKER, "jobs on SageMaker; omit it, or add --on-sagemaker"
    else:
        panel, remedy = ON_THIS_MACHINE, "this machine; omit it, or omit --on-sagemaker"
    for param in context.command.params:
        if getattr(param, "rich_help_panel", None) == panel and _is_given(context, param.name):
            raise InputError(f"{param.opts[0]} applies only to {remedy}")


def _is_given(context: typer.Context, name: str | None) -> bool:
    source = context.get_parameter_source(name) if name else None
    return source is not None and source.name == "COMMANDLINE"


def require_out(out: Path | None) -> Path:
    """Return the output folder of a command that runs on this machine.

    Raises:
        InputError: The option is missing.
    """
    if out is None:
        raise InputError(
            "--out is missing; give an output folder, or start a job with --on-sagemaker"
        )
    return out


def training_channels(
    labels: str, scenes: str, val_labels: str | None, val_scenes: str | None
) -> dict[str, str]:
    """Return the input channels of a training job: addresses by the channels' names."""
    channels = {
        "images": scenes,
        "labels": None if labels == NO_LABELS else labels,
        "val_labels": val_labels,
        # Without this channel, the container reads validation scenes from `images`.
        "val_images": val_scenes,
    }
    return {name: source for name, source in channels.items() if source is not None}


def label_options(form: str, classes: str | None, class_map: list[str] | None) -> dict[str, str]:
    """Return the label options of a training, as hyperparameters of its container.

    Raises:
        InputError: An item of `class_map` is not an assignment.
    """
    names = parse_class_map(class_map or [])
    return {
        "form": form,
        **({"classes": classes} if classes else {}),
        **({"map": json.dumps(names)} if names else {}),
    }


def split_list(text: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated list; None if the option is missing."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def confirm_cost(ceiling: MaxCost, *, yes: bool) -> None:
    """Print the cost of a job, and ask for confirmation unless `yes` is set.

    Raises:
        Abort: The user declined.
    """
    print_line(f"This costs {ceiling}.")
    if not yes:
        typer.confirm("Start?", abort=True)
