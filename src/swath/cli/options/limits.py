"""Define options with numbers: scores, losses, tolerances and counts; and options of gates."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import typer


def require_finite(number: float | None) -> float | None:
    """Return the number of an option, unless it is NaN or infinite.

    NaN would pass an option's `min` and `max`, because no comparison with NaN is true.

    Raises:
        typer.BadParameter: The number is NaN or infinite.
    """
    if number is not None and not isfinite(number):
        raise typer.BadParameter(f"{number} is not a finite number")
    return number


ToleratedFailures = Annotated[
    float,
    typer.Option(
        metavar="FRACTION",
        help="Maximum fraction of a scene's tiles that may fail.",
        min=0,
        max=1,
        callback=require_finite,
    ),
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE",
        help="Minimum score of the results; not below that of the package.",
        show_default="that of the package",
        min=0,
        max=1,
        callback=require_finite,
    ),
]
ScoreFloor = Annotated[
    float,
    typer.Option(
        metavar="SCORE",
        help="Minimum score of the detections that are measured.",
        min=0,
        max=1,
        callback=require_finite,
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Maximum drop of a metric below that of the package in use.",
        min=0,
        callback=require_finite,
    ),
]
MaxDifference = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Maximum difference between the outputs of the weights, as a fraction of the "
        "largest output.",
        show_default="0.001; more for weights with fewer bits",
        min=0,
        callback=require_finite,
    ),
]
MaxLoss = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Maximum loss of AP, mIoU or agreement.",
        min=0,
        max=1,
        callback=require_finite,
    ),
]
Tiles = Annotated[
    int, typer.Option(metavar="N", help="Number of tiles to take from the scenes.", min=1)
]
MaxConcurrentImages = Annotated[
    int,
    typer.Option(
        metavar="N", help="Maximum number of images that are sent at the same time.", min=1, max=64
    ),
]

# Gates.
Against = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Package in use, or its evaluation.json; the exit code is 1 below its metrics.",
    ),
]
FailBelow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=X", help="Minimum value of a metric, such as AP50=0.3. Repeatable."
    ),
]
Gate = Annotated[
    bool,
    typer.Option("--gate/--no-gate", help="Compare with the package in use before it is replaced."),
]
