"""Decide whether a package may replace the one in use: no metric may be lower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from swath.errors import InputError
from swath.evaluation.results import Evaluation
from swath.messages import Payload

DEFAULT_OBJECT_METRICS = ("AP", "AP50", "best_F1")
DEFAULT_MASK_METRICS = ("mIoU", "pixel_F1", "polygon_F1")
_ROUNDING = 1e-9
"""Tolerance for rounding: in floating point, 0.8 - 0.1 is more than 0.7."""


class Shortfall(Payload, frozen=True, kw_only=True):
    """Metric that is lower than required."""

    metric: str
    """Name of the metric."""
    value: float | None
    """Value of the metric; None if it is undefined, which counts as lower than any number."""
    minimum: float
    """Required value, before any tolerance."""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.metric} has no value and must be {self.minimum:.4f}"
        by = self.minimum - self.value
        return f"{self.metric} is {self.value:.4f}, {by:.4f} below {self.minimum:.4f}"


class GateResult(Payload, frozen=True, kw_only=True):
    """Decision of a gate on a package."""

    passed: bool
    compared: tuple[str, ...]
    """Names of the metrics that were checked."""
    shortfalls: tuple[Shortfall, ...] = ()
    """Metrics that are lower than required."""

    def __add__(self, other: GateResult) -> GateResult:
        """Combine two verdicts; the result passes if both pass."""
        return GateResult(
            passed=self.passed and other.passed,
            compared=tuple(dict.fromkeys(self.compared + other.compared)),
            shortfalls=self.shortfalls + other.shortfalls,
        )

    def __str__(self) -> str:
        if self.passed:
            return f"passed: {', '.join(self.compared)}"
        return f"refused: {'; '.join(map(str, self.shortfalls))}"


def compare(
    candidate: Evaluation,
    current: Evaluation,
    tolerance: float = 0.0,
    *,
    metrics: Sequence[str] | None = None,
) -> GateResult:
    """Compare a package with the package in use, evaluated on the same collection.

    Args:
        candidate: Evaluation of the package to publish.
        current: Evaluation of the package in use.
        tolerance: Amount by which a metric may be lower.
        metrics: Names of the metrics to compare; by default `DEFAULT_MASK_METRICS` if both
            evaluations have mask metrics, else `DEFAULT_OBJECT_METRICS`.

    Raises:
        InputError: The evaluations have different collections, classes or conditions, or one of
            them lacks a metric. Or all metrics of the package in use are undefined, so that any
            candidate would pass.
    """
    _check_comparable(candidate, current)
    if metrics is None:
        metrics = (
            DEFAULT_MASK_METRICS if candidate.pixels and current.pixels else DEFAULT_OBJECT_METRICS
        )
    given = {name: _metric(current, name) for name in metrics}
    minimum = {name: value for name, value in given.items() if value is not None}
    if not minimum:
        raise InputError(
            f"the evaluation of the package in use has no value for {', '.join(metrics)}, so "
            "there is nothing to compare; evaluate both packages on scenes with labeled objects"
        )
    return check_bounds(candidate, minimum, tolerance)


def check_bounds(
    candidate: Evaluation, minimum: Mapping[str, float], tolerance: float = 0.0
) -> GateResult:
    """Check a package's metrics against required values.

    Args:
        candidate: Evaluation of the package.
        minimum: Required value of each metric.
        tolerance: Amount by which a metric may be lower.

    Raises:
        InputError: There is no metric of a name, or a number is NaN or infinite.
    """
    check_finite({"the tolerance": tolerance, **minimum})
    shortfalls = []
    for name, bound in minimum.items():
        value = _metric(candidate, name)
        if value is None or value < bound - tolerance - _ROUNDING:
            shortfalls.append(Shortfall(metric=name, value=value, minimum=bound))
    return GateResult(passed=not shortfalls, compared=tuple(minimum), shortfalls=tuple(shortfalls))


def check_finite(numbers: Mapping[str, float]) -> None:
    """Check that required values are finite.

    Nothing is lower than NaN, so any package would pass.

    Args:
        numbers: Numbers by their names in messages.

    Raises:
        InputError: A number is NaN or infinite.
    """
    for name, number in numbers.items():
        if not isfinite(number):
            raise InputError(f"{name} is {number}; give a finite number")


def _metric(evaluation: Evaluation, name: str) -> float | None:
    if name not in evaluation.metrics:
        raise InputError(
            f"the evaluation of {evaluation.package.name} has no metric {name}; "
            f"it has {', '.join(evaluation.metrics)}"
        )
    value = evaluation.metrics[name]
    if value is not None and not isfinite(value):
        raise InputError(
            f"the evaluation of {evaluation.package.name} has the value {value} for {name}, which "
            "is not possible; evaluate the package again"
        )
    return value


def _check_comparable(candidate: Evaluation, current: Evaluation) -> None:
    ours, theirs = candidate.collection, current.collection
    if ours.digest != theirs.digest:
        raise InputError(
            f"{candidate.package.name} was evaluated on the collection {ours.digest}, but the "
            f"package in use on {theirs.digest}; evaluate both on the same collection"
        )
    if ours.classes != theirs.classes or candidate.conditions != current.conditions:
        raise InputError(
            f"{candidate.package.name} was evaluated with {list(ours.classes)}, "
            f"{candidate.conditions.to_json()}, but the package in use with "
            f"{list(theirs.classes)}, {current.conditions.to_json()}; evaluate both under the same "
            "conditions"
        )
