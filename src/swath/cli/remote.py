"""Shared parts of commands with jobs on SageMaker: the place, the data, consent to the cost."""

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
    from swath.sagemaker.jobs.costs import Ceiling


def check_place(context: typer.Context, *, local: bool) -> None:
    """Refuse the options that are for work at the other place.

    Raises:
        InputError: one of them was given; the message names it and the remedy.
    """
    if local:
        panel, remedy = ON_SAGEMAKER, "a job on SageMaker: leave it out, or add --on-sagemaker"
    else:
        panel, remedy = ON_THIS_MACHINE, "work on this machine: leave it out, or --on-sagemaker"
    for param in context.command.params:
        if getattr(param, "rich_help_panel", None) == panel and _is_given(context, param.name):
            raise InputError(f"{param.opts[0]} is for {remedy}")


def _is_given(context: typer.Context, name: str | None) -> bool:
    source = context.get_parameter_source(name) if name else None
    return source is not None and source.name == "COMMANDLINE"


def require_out(out: Path | None) -> Path:
    """Return the folder that work on this machine writes to.

    Raises:
        InputError: there is none.
    """
    if out is None:
        raise InputError("give --out, the folder to write to, or start a job by --on-sagemaker")
    return out


def channels_of(
    labels: str, scenes: str, val_labels: str | None, val_scenes: str | None
) -> dict[str, str]:
    """Return the data of a training job, by the names that its container knows."""
    found = {
        "images": scenes,
        "labels": None if labels == NO_LABELS else labels,
        "val_labels": val_labels,
        # The container looks among `images` where there is no such channel.
        "val_images": val_scenes,
    }
    return {name: source for name, source in found.items() if source is not None}


def label_options(form: str, classes: str | None, class_map: list[str] | None) -> dict[str, str]:
    """Return what a training is told of its labels, as its container knows it.

    Raises:
        InputError: an assignment of classes is none.
    """
    names = parse_class_map(class_map or [])
    return {
        "form": form,
        **({"classes": classes} if classes else {}),
        **({"map": json.dumps(names)} if names else {}),
    }


def split_list(text: str | None) -> tuple[str, ...] | None:
    """Return the names between the commas of an option's value; None where there is no option."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def agree(ceiling: Ceiling, *, yes: bool) -> None:
    """Show what it may cost, and go on only if that is agreed to."""
    print_line(f"This costs {ceiling}.")
    if not yes:
        typer.confirm("Start?", abort=True)
