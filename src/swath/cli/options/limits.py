"""Numbers: scores, losses, tolerances, and how much of something."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import typer


def finite(number: float | None) -> float | None:
    """Return the number of an option, unless it is NaN or infinite.

    No comparison with NaN is true: it would pass an option's `min` and `max`, and whatever is held
    against it later.

    Raises:
        typer.BadParameter: it is NaN or infinite.
    """
    if number is not None and not isfinite(number):
        raise typer.BadParameter(f"{number} is no number that anything can be held against")
    return number


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

# Gates.
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
