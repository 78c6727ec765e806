"""Define options of commands that predict or follow runs of a deployed stack."""

from __future__ import annotations

from typing import Annotated

import typer

from swath.cli.options.jobs import STACK_HELP
from swath.messages import Backend

PlannedModel = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Model package: a folder, a model.tar.gz or the S3 URI of one; with --stack, also "
        "the name of a deployed model.",
    ),
]
DeployedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Name of a model of the stack.",
        show_default="the default model of the stack",
    ),
]
Stack = Annotated[str, typer.Option("--stack", metavar="NAME", help=STACK_HELP)]
OptionalStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="NAME",
        help=STACK_HELP,
        show_default="none: the default settings apply",
    ),
]
PlannedBackend = Annotated[
    Backend,
    typer.Option("--backend", metavar="BACKEND", help="Backend of the shards.", show_default=True),
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Run the model on some tiles of the scene, to measure how fast this machine is.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="Show the run until it ends; the exit code is 1 if it fails."),
]
