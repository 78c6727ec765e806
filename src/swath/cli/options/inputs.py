"""Options of inputs and outputs: scenes, images, labels, model packages, folders."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from swath.labels.formats import Form

NO_LABELS = "-"
"""Argument that stands for labels beside the scenes."""


class OutputFormat(StrEnum):
    """Formats that `swath run` writes; typer takes no lists of literals."""

    PARQUET = "parquet"
    GPKG = "gpkg"
    GEOJSON = "geojson"
    FGB = "fgb"


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

# Options.
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Model package: a folder, a model.tar.gz or an S3 URI of one.",
    ),
]
_SCENE = typer.Option(
    metavar="SCENE", help="Scene to take tiles from: a file or an S3 URI. Repeatable."
)
SceneOption = Annotated[list[str], _SCENE]
OptionalScene = Annotated[list[str] | None, _SCENE]
OUT_HELP = "Folder to write to."
Out = Annotated[Path, typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False)]
OptionalOut = Annotated[Path | None, typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False)]
OutputFormats = Annotated[
    list[OutputFormat] | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Format to write the detections in beside parquet: gpkg, geojson or fgb. Repeatable.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostGIS database to load the detections into, too: a URL or a libpq string.",
        envvar="SWATH_DATABASE_URL",
    ),
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
