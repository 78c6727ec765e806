"""Choose one of several readings of a network's outputs, by the numbers in the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError

if TYPE_CHECKING:
    from swath.packaging.conventions.convention import Understood

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One interpretation of the outputs, with the evidence for and against it."""

    words: str
    """Completion of "which can be read as …"."""
    settings: Mapping[str, Any]
    """Hyperparameters that distinguish this reading from others, including default values."""
    understood: Understood
    fault: str | None = None
    """Contradiction between the numbers and this reading; None if there is none."""
    doubtful: bool = False
    """True if the contradiction concerns most of the numbers, not all."""
    strong: bool = False
    """True if the numbers could hardly be anything else."""
    declared: bool = False
    """True if names, metadata or the library's convention declare this reading."""


def choose(
    path: Path, shapes: str, readings: Sequence[Reading], given: Mapping[str, Any]
) -> Understood:
    """Choose the reading on which the numbers and the file agree.

    Args:
        path: Path of the weights file, for messages.
        shapes: Description of the outputs, for messages.
        readings: Readings that the shapes allow.
        given: Hyperparameters that the user sets; they override the evidence of the numbers.

    Raises:
        PackageError: No reading is possible, or several are equally plausible.
    """
    wanted = [r for r in readings if _agrees(r, given)]
    possible = [r for r in wanted or readings if r.fault is None]
    if wanted and len(wanted) < len(readings) and not possible:
        possible = wanted
    if not possible:
        faults = "; ".join(f"no {r.words}, since {r.fault}" for r in readings[:_MOST_NAMED])
        raise PackageError(f"{path} returns {shapes}, which swath cannot read: {faults}")
    left = _narrowed(possible)
    if not any(r.declared or r.strong for r in left):
        left = [*left, *(r for r in wanted or readings if r.doubtful and r.declared)]
    if len(left) > 1:
        raise PackageError(_question(path, shapes, left))
    return left[0].understood


def _agrees(reading: Reading, given: Mapping[str, Any]) -> bool:
    return all(reading.settings.get(name, value) == value for name, value in given.items())


def _narrowed(possible: Sequence[Reading]) -> Sequence[Reading]:
    """Return the readings with the most evidence; several if their evidence is equal."""
    strong = [r for r in possible if r.strong]
    declared = [r for r in possible if r.declared]
    both = [r for r in strong if r.declared]
    if strong and declared and not both:
        return [*strong, *declared]
    return both or strong or declared or possible


def _question(path: Path, shapes: str, left: Sequence[Reading]) -> str:
    """Return the error message that lists the remaining readings and the options to choose one."""
    differing = sorted(
        name
        for name in {name for r in left for name in r.settings}
        if len({repr(r.settings.get(name)) for r in left}) > 1
    )
    ways = [r.words + _options(r, differing) for r in left[:_MOST_NAMED]]
    more = f", or in {len(left) - _MOST_NAMED} more ways" if len(left) > _MOST_NAMED else ""
    told = len({_options(r, differing) for r in left}) == len(left)
    remedy = "choose one with --set" if told else "name the outputs boxes, scores and labels"
    return (
        f"{path} returns {shapes}, which can be read as {', or as '.join(ways)}{more}: "
        f"{remedy}, or export with names and metadata that tell"
    )


def _options(reading: Reading, names: Sequence[str]) -> str:
    """Return the options that choose a reading, in parentheses; empty if there are none."""
    options = [f"--set {n}={reading.settings[n]}" for n in names if n in reading.settings]
    return f" ({' '.join(options)})" if options else ""
