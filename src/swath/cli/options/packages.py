"""Options for making, checking and publishing model packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Library = Literal["ultralytics", "torchvision", "transformers", "smp", "swath"]
Precision = Literal["float16", "int8"]

ModelFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of the model package.", file_okay=False)
]
Weights = Annotated[
    list[Path],
    typer.Argument(metavar="WEIGHTS", help="One network in up to three formats: .onnx, .pt, .pt2."),
]
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
To = Annotated[
    list[str],
    typer.Option(
        metavar="FOLDER", help="Folder of models, here or on S3, to publish to. Repeatable."
    ),
]
Evaluation = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The package's evaluation.json, made earlier.")
]
