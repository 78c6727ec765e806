"""Define options for making, checking and publishing model packages."""

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
    typer.Argument(
        metavar="WEIGHTS", help="Weights of one network in up to three formats: .onnx, .pt, .pt2."
    ),
]
LibraryOption = Annotated[
    Library,
    typer.Option(
        "--from",
        metavar="LIBRARY",
        help="Library that exported the weights: ultralytics, torchvision, transformers, smp or "
        "swath.",
    ),
]
Bands = Annotated[
    str,
    typer.Option(
        metavar="A,B", help="Names of the bands, in the network's order, separated by commas."
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Name of the model.", show_default="the name of the output folder"
    ),
]
Scaling = Annotated[
    str | None,
    typer.Option(
        metavar="SCALING",
        help="Scaling of pixel values: none, a divisor, imagenet, or a JSON file with the "
        "value_scaling of STAC MLM.",
    ),
]
TileSize = Annotated[
    int | None,
    typer.Option(
        metavar="PX", help="Tile size in px.", show_default="the input size of the weights", min=1
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Overlap of neighboring tiles in px.",
        show_default="a quarter of a tile",
        min=0,
    ),
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="UNIT",
        help="Unit of the training scenes' values as QUANTITY,SCALE,OFFSET, once for all bands or "
        "once for each band. Repeatable.",
    ),
]
Architecture = Annotated[
    str | None, typer.Option(metavar="NAME", help="Architecture of the network.")
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision", metavar="TYPE", help="Number format of the smaller weights: float16 or int8."
    ),
]
PublishFolders = Annotated[
    list[str],
    typer.Option(
        metavar="FOLDER",
        help="Folder of model packages, local or on S3, to publish to. Repeatable.",
    ),
]
Evaluation = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Existing evaluation.json of the package.")
]
