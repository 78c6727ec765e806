"""Define options of exports: the file, and which detections it has."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer


class ExportFormat(StrEnum):
    """Format of an exported file; `swath.exports` imports much, so it is not imported here."""

    PARQUET = "parquet"
    GPKG = "gpkg"
    GEOJSON = "geojson"
    GEOJSONL = "geojsonl"
    FGB = "fgb"
    CSV = "csv"
    COCO = "coco"


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time in ISO 8601, such as 2026-11-28 or 2026-11-28T10:30:00Z"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Source = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="Detections: a run's folder, its detections.parquet, or a results bucket; "
        "by default the database.",
        show_default=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Detections: a run's folder or its detections.parquet; a path or an S3 URI.",
    ),
]
PreviewScene = Annotated[
    list[str] | None,
    typer.Option(
        "--scene-uri",
        metavar="SCENE",
        help="Scene of the run: a file, a STAC Item (.json) or the files of one scene. Repeatable.",
        show_default="the address that the run states",
    ),
]
Target = Annotated[
    str, typer.Option("--out-file", metavar="FILE", help="File to write: a path or an S3 URI.")
]
Format = Annotated[
    ExportFormat | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Format: parquet, gpkg, geojson, geojsonl, fgb, csv or coco.",
        show_default="that of the file's suffix",
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace an existing file.")]
ClassNames = Annotated[
    list[str] | None,
    typer.Option("--class", metavar="NAME", help="Only detections of this class. Repeatable."),
]
MinScore = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="Only detections with at least this score.", min=0, max=1),
]
Bbox = Annotated[
    str | None,
    typer.Option(
        metavar="W,S,E,N",
        help="Only detections that intersect this box in degrees; W above E crosses 180°.",
    ),
]
Area = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Only detections that intersect the polygons of a GeoJSON."),
]
Start = Annotated[
    datetime | None,
    typer.Option(
        metavar="TIME", parser=_parse_time, help="Only scenes acquired at this time or later."
    ),
]
End = Annotated[
    datetime | None,
    typer.Option(metavar="TIME", parser=_parse_time, help="Only scenes acquired before this time."),
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Only detections of this model.")
]
RunId = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Only detections of this run.")
]
