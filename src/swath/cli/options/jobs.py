"""Options of trainings, on this machine or as a job on SageMaker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options.inputs import OUT_HELP
from swath.cli.options.limits import finite

WHERE = "Where"
ON_THIS_MACHINE = "On this machine (--out is required)"
ON_SAGEMAKER = "On SageMaker"
"""Panels of the help: `swath.cli.remote.check_place` refuses the options of the other place."""

# Training.
OptionsFile = Annotated[
    str | None,
    typer.Option("--options", metavar="FILE", help="JSON or TOML file of training options."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Training option or hyperparameter of a package. Repeatable.",
    ),
]
SearchFile = Annotated[
    str,
    typer.Option(metavar="FILE", help="JSON or TOML file of the options to vary and their ranges."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with what was begun in --out.",
        rich_help_panel=ON_THIS_MACHINE,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of folds: train once for each, and measure on the scenes held out.",
        min=2,
        rich_help_panel=ON_THIS_MACHINE,
    ),
]

# Where the work is done.
Local = Annotated[
    bool,
    typer.Option(
        "--local/--on-sagemaker",
        help="Work on this machine, or as a job on SageMaker.",
        rich_help_panel=WHERE,
    ),
]
LocalOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False, rich_help_panel=ON_THIS_MACHINE),
]
Stack = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Deployed stack whose role, image and bucket the job uses.",
        rich_help_panel=ON_SAGEMAKER,
    ),
]
InstanceType = Annotated[
    str, typer.Option(metavar="TYPE", help="Type of the hosts.", rich_help_panel=ON_SAGEMAKER)
]
Instances = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Number of hosts that work at once.",
        min=1,
        rich_help_panel=ON_SAGEMAKER,
    ),
]
Hours = Annotated[
    float,
    typer.Option(
        metavar="H",
        help="Most hours that one job may take.",
        min=0.1,
        rich_help_panel=ON_SAGEMAKER,
        callback=finite,
    ),
]
OnDemand = Annotated[
    bool,
    typer.Option(
        "--on-demand",
        help="Take on-demand capacity rather than Spot.",
        rich_help_panel=ON_SAGEMAKER,
    ),
]
HourlyPrice = Annotated[
    float | None,
    typer.Option(
        metavar="USD",
        help="Price of one hour of a host in US dollars.",
        show_default="from AWS's price list",
        rich_help_panel=ON_SAGEMAKER,
        callback=finite,
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", help="Start without asking about the cost.", rich_help_panel=ON_SAGEMAKER
    ),
]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="S3 URI of the checkpoints of an earlier job to go on with.",
        rich_help_panel=ON_SAGEMAKER,
    ),
]

# Endpoints, batch transforms and the registry.
Endpoint = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the endpoint, from the stack's outputs.")
]
Asynchronous = Annotated[
    bool,
    typer.Option("--async", help="Upload the images to S3, and wait for an asynchronous endpoint."),
]
ImagesPrefix = Annotated[str, typer.Argument(metavar="IMAGES_URI", help="S3 prefix of the images.")]
ResultsPrefix = Annotated[
    str, typer.Argument(metavar="RESULTS_URI", help="S3 prefix to write the results to.")
]
ModelUri = Annotated[str, typer.Argument(metavar="MODEL_URI", help="S3 URI of a model.tar.gz.")]
Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="Group of model versions in SageMaker's registry.")
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="ARN of a model version.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Reason to keep with the decision.")]
