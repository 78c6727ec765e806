"""Whether a package may take the place of the one in use: only if it does not fall below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from swath.errors import InputError
from swath.evaluation.results import Evaluation
from swath.messages import Payload

OBJECTS = ("AP", "AP50", "best_F1")
MASKS = ("mIoU", "pixel_F1", "polygon_F1")
_ROUNDING = 1e-9
"""By so much a difference of two figures may be off: 0.8 - 0.1 is more than 0.7."""


class Fall(Payload, frozen=True, kw_only=True):
    """A figure that is lower than it must be."""

    figure: str
    value: float | None
    """None: there is nothing to measure, which is lower than any number."""
    least: float
    """What it must be, before any tolerance."""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.figure} has no value and must be {self.least:.4f}"
        by = self.least - self.value
        return f"{self.figure} is {self.value:.4f}, {by:.4f} below {self.least:.4f}"


class Verdict(Payload, frozen=True, kw_only=True):
    """What a gate says of a package."""

    passed: bool
    compared: tuple[str, ...]
    falls: tuple[Fall, ...] = ()

    def __add__(self, other: Verdict) -> Verdict:
        """Both together: it passed if both did."""
        return Verdict(
            passed=self.passed and other.passed,
            compared=tuple(dict.fromkeys(self.compared + other.compared)),
            falls=self.falls + other.falls,
        )

    def __str__(self) -> str:
        if self.passed:
            return f"passed: {', '.join(self.compared)}"
        return f"refused: {'; '.join(map(str, self.falls))}"


def compare(
    candidate: Evaluation,
    current: Evaluation,
    tolerance: float = 0.0,
    *,
    figures: Sequence[str] | None = None,
) -> Verdict:
    """Hold a package against the one in use, measured on the same collection.

    Args:
        candidate: of the package that is to be published.
        current: of the one in use.
        tolerance: by how much a figure may fall.
        figures: which are compared; by default `MASKS` where both have masks, else `OBJECTS`.

    Raises:
        InputError: they were not measured on the same collection, or not in the same way; or the
            package in use has none of the figures, so that any candidate would pass.
    """
    _check_comparable(candidate, current)
    if figures is None:
        figures = MASKS if candidate.pixels and current.pixels else OBJECTS
    given = {name: _figure(current, name) for name in figures}
    least = {name: value for name, value in given.items() if value is not None}
    if not least:
        raise InputError(
            f"the evaluation of the package in use has no value for {', '.join(figures)}, so it "
            "compares nothing: measure both on scenes with labelled objects"
        )
    return require(candidate, least, tolerance)


def require(candidate: Evaluation, least: Mapping[str, float], tolerance: float = 0.0) -> Verdict:
    """Hold a package against numbers.

    Args:
        candidate: of the package.
        least: what figures must be.
        tolerance: by how much they may be lower.

    Raises:
        InputError: there is no figure of that name, or a number is NaN or infinite.
    """
    check_numbers({"the tolerance": tolerance, **least})
    falls = []
    for name, bound in least.items():
        value = _figure(candidate, name)
        if value is None or value < bound - tolerance - _ROUNDING:
            falls.append(Fall(figure=name, value=value, least=bound))
    return Verdict(passed=not falls, compared=tuple(least), falls=tuple(falls))


def check_numbers(numbers: Mapping[str, float]) -> None:
    """Check what figures are held against: nothing is lower than NaN, so all would pass.

    Raises:
        InputError: one is NaN or infinite.
    """
    for name, number in numbers.items():
        if not isfinite(number):
            raise InputError(
                f"{name} is {number}, which nothing can be held against; give a number"
            )


def _figure(evaluation: Evaluation, name: str) -> float | None:
    if name not in evaluation.figures:
        raise InputError(
            f"the evaluation of {evaluation.package.name} has no figure {name}; "
            f"it has {', '.join(evaluation.figures)}"
        )
    value = evaluation.figures[name]
    if value is not None and not isfinite(value):
        raise InputError(
            f"the evaluation of {evaluation.package.name} gives {value} for {name}, which no "
            "measurement does; measure the package anew"
        )
    return value


def _check_comparable(candidate: Evaluation, current: Evaluation) -> None:
    ours, theirs = candidate.collection, current.collection
    if ours.digest != theirs.digest:
        raise InputError(
            f"{candidate.package.name} was measured on the collection {ours.digest} and the "
            f"package in use on {theirs.digest}: measure both on the same one"
        )
    if ours.classes != theirs.classes or candidate.conditions != current.conditions:
        raise InputError(
            f"{candidate.package.name} was measured with {list(ours.classes)}, "
            f"{candidate.conditions.to_json()} and the package in use with "
            f"{list(theirs.classes)}, {current.conditions.to_json()}: measure both in the same way"
        )
