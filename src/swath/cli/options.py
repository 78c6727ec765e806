"""Arguments and options of the commands, each defined once.

A name has one type, one metavar and one help text, whichever command takes it. A help text is a
noun phrase or an imperative sentence, names the unit of a number, and ends with "Repeatable." where
the option may be given several times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from swath.cli.numbers import finite
from swath.labels.formats import Form

WHERE = "Where"
ON_THIS_MACHINE = "On this machine (--out is required)"
ON_SAGEMAKER = "On SageMaker"
"""Panels of the help: `swath.cli.remote.check_place` refuses the options of the other place."""
NO_LABELS = "-"
"""In place of labels: they are with the scenes."""

Library = Literal["ultralytics", "torchvision", "transformers", "smp", "swath"]
Precision = Literal["float16", "int8"]

# Arguments.
Scene = Annotated[
    str, typer.Argument(metavar="SCENE", help="Scene to run on: a file or an S3 URI.")
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Model package: a folder, a model.tar.gz or an S3 URI of one."
    ),
]
ModelFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of the model package.", file_okay=False)
]
ModelUri = Annotated[str, typer.Argument(metavar="MODEL_URI", help="S3 URI of a model.tar.gz.")]
Weights = Annotated[
    list[Path],
    typer.Argument(metavar="WEIGHTS", help="One network in up to three formats: .onnx, .pt, .pt2."),
]
Labels = Annotated[
    str,
    typer.Argument(
        metavar="LABELS",
        help=f"Labels: a file, a folder or an S3 URI; {NO_LABELS} if they are with the scenes.",
    ),
]
Scenes = Annotated[
    str, typer.Argument(metavar="SCENES", help="Folder of the labelled scenes, or an S3 prefix.")
]
Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES", help="Images: GeoTIFF, PNG, JPEG or NPY files.", dir_okay=False
    ),
]
ImagesPrefix = Annotated[str, typer.Argument(metavar="IMAGES_URI", help="S3 prefix of the images.")]
ResultsPrefix = Annotated[
    str, typer.Argument(metavar="RESULTS_URI", help="S3 prefix to write the results to.")
]
Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="Group of model versions in SageMaker's registry.")
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="ARN of a model version.")]

# Inputs and outputs.
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Model package: a folder, a model.tar.gz or an S3 URI of one.",
    ),
]
_OUT_HELP = "Folder to write to."
Out = Annotated[Path, typer.Option(metavar="DIR", help=_OUT_HELP, file_okay=False)]
OptionalOut = Annotated[Path | None, typer.Option(metavar="DIR", help=_OUT_HELP, file_okay=False)]
LocalOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help=_OUT_HELP, file_okay=False, rich_help_panel=ON_THIS_MACHINE),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostGIS database to load the detections into, too: a URL or a libpq string.",
        envvar="SWATH_DATABASE_URL",
    ),
]
_SCENE = typer.Option(
    metavar="SCENE", help="Scene to take tiles from: a file or an S3 URI. Repeatable."
)
SceneOption = Annotated[list[str], _SCENE]
OptionalScene = Annotated[list[str] | None, _SCENE]
To = Annotated[
    list[str],
    typer.Option(
        metavar="FOLDER", help="Folder of models, here or on S3, to publish to. Repeatable."
    ),
]
Evaluation = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The package's evaluation.json, made earlier.")
]

# Labelled scenes.
LabelFormat = Annotated[
    Form,
    typer.Option(
        "--format", metavar="FORMAT", help="Format of the labels: auto, coco, geojson or spacenet."
    ),
]
ClassMap = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="A=B",
        help="Class A of the labels is class B of the model, as vessel=ship. Repeatable.",
    ),
]
Classes = Annotated[
    str | None, typer.Option(metavar="A,B", help="Names of the classes, in order, between commas.")
]
ValLabels = Annotated[
    str | None, typer.Option(metavar="LABELS", help="Labels of the scenes to validate on.")
]
ValScenes = Annotated[
    str | None,
    typer.Option(metavar="SCENES", help="Folder of the scenes to validate on, or an S3 prefix."),
]

# Numbers.
ToleratedFailures = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="Share of a scene's tiles that may fail.",
        min=0,
        max=1,
        callback=finite,
    ),
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE",
        help="Lowest score to report, at or above the package's own.",
        show_default="the package's own",
        min=0,
        max=1,
        callback=finite,
    ),
]
ScoreFloor = Annotated[
    float,
    typer.Option(
        metavar="SCORE",
        help="Lowest score of the detections in the curves.",
        min=0,
        max=1,
        callback=finite,
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Largest fall of a metric below that of the package in use.",
        min=0,
        callback=finite,
    ),
]
MaxDifference = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Largest difference between outputs of weights, as a share of the largest output.",
        show_default="0.001, more for weights of fewer bits",
        min=0,
        callback=finite,
    ),
]
MaxLoss = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Largest loss of AP, mIoU or agreement.",
        min=0,
        max=1,
        callback=finite,
    ),
]
Tiles = Annotated[
    int, typer.Option(metavar="N", help="Number of tiles to take from the scenes.", min=1)
]
AtOnce = Annotated[
    int, typer.Option(metavar="N", help="Number of images under way at once.", min=1, max=64)
]

# Evaluation and publishing.
Against = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="Package in use, or its evaluation.json; refuse to fall below it."
    ),
]
FailBelow = Annotated[
    list[str] | None,
    typer.Option(metavar="METRIC=X", help="Least value of a metric, as AP50=0.3. Repeatable."),
]
Gate = Annotated[
    bool,
    typer.Option("--gate/--no-gate", help="Compare with the package in use before it is replaced."),
]

# Packages.
From = Annotated[
    Library,
    typer.Option(
        "--from",
        metavar="LIBRARY",
        help="Library whose conventions the outputs follow: ultralytics, torchvision, "
        "transformers, smp or swath.",
    ),
]
Bands = Annotated[
    str,
    typer.Option(metavar="A,B", help="Names of the bands, in the network's order, between commas."),
]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name of the model.", show_default="the name of the folder"),
]
Scaling = Annotated[
    str | None,
    typer.Option(
        metavar="SCALING",
        help="Scaling of pixels: none, a number to divide by, imagenet, or a JSON file with "
        "STAC MLM's value_scaling.",
    ),
]
TileSize = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Tile size in px.", show_default="as the weights say", min=1),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Overlap of neighbouring tiles in px.",
        show_default="a quarter of a tile",
        min=0,
    ),
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="UNIT",
        help="Unit of the training scenes' numbers as QUANTITY,SCALE,OFFSET: one for all bands or "
        "one each. Repeatable.",
    ),
]
Architecture = Annotated[
    str | None, typer.Option(metavar="NAME", help="Architecture of the network.")
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision", metavar="TYPE", help="Numbers that the weights compute in: float16 or int8."
    ),
]

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

# Endpoints and the registry.
Endpoint = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the endpoint, from the stack's outputs.")
]
Asynchronous = Annotated[
    bool,
    typer.Option("--async", help="Upload the images to S3, and wait for an asynchronous endpoint."),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Reason to keep with the decision.")]

# The local cloud.
Port = Annotated[
    int,
    typer.Option(
        metavar="PORT", help="Port of the endpoint; 0 takes a free one.", min=0, max=65535
    ),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        "-c",
        metavar="KEY=VALUE",
        help="Deploy setting, as swath:backend=batch. Repeatable.",
    ),
]
