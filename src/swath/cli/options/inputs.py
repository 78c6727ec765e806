"""Define options of inputs and outputs: scenes, images, labels, model packages, folders."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from swath.labels import formats

NO_LABELS = "-"
"""Argument that means that the labels are beside the scenes."""


class OutputFormat(StrEnum):
    """Output format of `swath run`; typer does not accept a list of literals."""

    PARQUET = "parquet"
    GPKG = "gpkg"
    GEOJSON = "geojson"
    FGB = "fgb"


# Arguments.
SceneFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="SCENE",
        help="Scene: a file, a STAC Item (.json) or the files of one scene; paths or S3 URIs.",
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Model package: a folder, a model.tar.gz or the S3 URI of one."
    ),
]
Labels = Annotated[
    str,
    typer.Argument(
        metavar="LABELS",
        help=f"Labels: a file, a folder or an S3 URI; {NO_LABELS} if they are beside the scenes.",
    ),
]
Scenes = Annotated[
    str, typer.Argument(metavar="SCENES", help="Labeled scenes: a folder or an S3 prefix.")
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
        help="Model package: a folder, a model.tar.gz or the S3 URI of one.",
    ),
]
_SCENE = typer.Option(
    metavar="SCENE", help="Scene to take tiles from: a file or an S3 URI. Repeatable."
)
SceneOption = Annotated[list[str], _SCENE]
OptionalScene = Annotated[list[str] | None, _SCENE]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="PREFIX",
        help="Prefix of addresses where the files of an Item may lie, besides its folder, such as "
        "s3://BUCKET/PREFIX/. Repeatable.",
    ),
]
AcquiredAt = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time of the acquisition in ISO 8601, such as 2026-11-28T10:30:00Z.",
        show_default="the time in the metadata, if any",
    ),
]
OUT_HELP = "Output folder."
Out = Annotated[Path, typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False)]
OptionalOut = Annotated[Path | None, typer.Option(metavar="DIR", help=OUT_HELP, file_okay=False)]
OutputFormats = Annotated[
    list[OutputFormat] | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Output format in addition to GeoParquet: gpkg, geojson or fgb. Repeatable.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostGIS database to load the detections into: a URL or a libpq string.",
        envvar="SWATH_DATABASE_URL",
    ),
]

# Labeled scenes.
LabelFormat = Annotated[
    formats.LabelFormat,
    typer.Option(
        "--format", metavar="FORMAT", help="Format of the labels: auto, coco, geojson or spacenet."
    ),
]
ClassMap = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="A=B",
        help="Class A of the labels is class B of the model, such as vessel=ship. Repeatable.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Names of the classes, in order, separated by commas."),
]
ValLabels = Annotated[
    str | None, typer.Option(metavar="LABELS", help="Labels of the validation scenes.")
]
ValScenes = Annotated[
    str | None,
    typer.Option(metavar="SCENES", help="Validation scenes: a folder or an S3 prefix."),
]
