"""Define options of trainings and of jobs, endpoints and models on SageMaker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options.inputs import OUT_HELP
from swath.cli.options.limits import require_finite

WHERE_TO_RUN = "Where to run"
ON_THIS_MACHINE = "On this machine (--out is required)"
ON_SAGEMAKER = "On SageMaker"
"""Panels of the help: `swath.cli.remote.check_options` refuses the options of the other one."""

# Training.
OptionsFile = Annotated[
    str | None,
    typer.Option("--options", metavar="FILE", help="JSON or TOML file with training options."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Training option or hyperparameter, such as epochs=60. Repeatable.",
    ),
]
SearchFile = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="JSON or TOML file with the options to vary and their ranges."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Resume the training or the search in --out.",
        rich_help_panel=ON_THIS_MACHINE,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of folds of a cross-validation; each fold trains one model.",
        min=2,
        rich_help_panel=ON_THIS_MACHINE,
    ),
]

# Where the command runs.
Local = Annotated[
    bool,
    typer.Option(
        "--local/--on-sagemaker",
        help="Run on this machine, or as a job on SageMaker.",
        rich_help_panel=WHERE_TO_RUN,
    ),
]
LocalOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False, rich_help_panel=ON_THIS_MACHINE),
]
STACK_HELP = "Name of the deployed stack, whose resources and settings apply."
Stack = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=STACK_HELP,
        rich_help_panel=ON_SAGEMAKER,
    ),
]
InstanceType = Annotated[
    str,
    typer.Option(metavar="TYPE", help="Instance type of the job.", rich_help_panel=ON_SAGEMAKER),
]
Instances = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Number of instances that run at the same time.",
        min=1,
        rich_help_panel=ON_SAGEMAKER,
    ),
]
Hours = Annotated[
    float,
    typer.Option(
        metavar="H",
        help="Maximum duration of each job in hours.",
        min=0.1,
        rich_help_panel=ON_SAGEMAKER,
        callback=require_finite,
    ),
]
OnDemand = Annotated[
    bool,
    typer.Option(
        "--on-demand",
        help="Use on-demand instances instead of Spot instances.",
        rich_help_panel=ON_SAGEMAKER,
    ),
]
HourlyPrice = Annotated[
    float | None,
    typer.Option(
        metavar="USD",
        help="Price of an instance per hour in US dollars.",
        show_default="from AWS's price list",
        rich_help_panel=ON_SAGEMAKER,
        callback=require_finite,
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", help="Start without confirmation of the cost.", rich_help_panel=ON_SAGEMAKER
    ),
]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="S3 URI of the checkpoints of an earlier job, to resume it.",
        rich_help_panel=ON_SAGEMAKER,
    ),
]

# Endpoints, batch transforms and the registry.
EndpointName = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the endpoint; the stack's outputs list it.")
]
Asynchronous = Annotated[
    bool,
    typer.Option(
        "--async", help="Invoke an asynchronous endpoint: upload the images to S3, and wait."
    ),
]
ImagesPrefix = Annotated[str, typer.Argument(metavar="IMAGES_URI", help="S3 prefix of the images.")]
ResultsPrefix = Annotated[
    str, typer.Argument(metavar="RESULTS_URI", help="S3 prefix of the results.")
]
ModelUri = Annotated[str, typer.Argument(metavar="MODEL_URI", help="S3 URI of a model.tar.gz.")]
ModelGroup = Annotated[
    str, typer.Argument(metavar="GROUP", help="Model group in SageMaker's registry.")
]
ModelVersion = Annotated[str, typer.Argument(metavar="VERSION", help="ARN of a model version.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Reason to store with the decision.")]
