"""Numbers as command lines give them."""

from __future__ import annotations

from math import isfinite

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
