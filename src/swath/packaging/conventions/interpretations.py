"""Choose one of several interpretations of a network's outputs, by the numbers in the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError

if TYPE_CHECKING:
    from swath.packaging.conventions.convention import InferredOutputs

_MAX_LISTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """One interpretation of the outputs, with the evidence for and against it."""

    description: str
    """Completion of "which can be read as …"."""
    settings: Mapping[str, Any]
    """Hyperparameters that distinguish this interpretation, including default values."""
    inferred: InferredOutputs
    contradiction: str | None = None
    """Contradiction between the numbers and this interpretation; None if there is none."""
    is_uncertain: bool = False
    """True if the contradiction concerns most of the numbers, not all."""
    is_conclusive: bool = False
    """True if the numbers could hardly be anything else."""
    is_declared: bool = False
    """True if names, metadata or the library's convention declare this interpretation."""


def choose_interpretation(
    path: Path,
    shapes: str,
    interpretations: Sequence[Interpretation],
    hyperparameters: Mapping[str, Any],
) -> InferredOutputs:
    """Choose the interpretation on which the numbers and the file agree.

    Args:
        path: Path of the weights file, for messages.
        shapes: Description of the outputs, for messages.
        interpretations: Interpretations that the shapes allow.
        hyperparameters: Hyperparameters that the user sets; they override the evidence of the
            numbers.

    Raises:
        PackageError: No interpretation is possible, or several are equally plausible.
    """
    selected = [
        interpretation
        for interpretation in interpretations
        if _matches_settings(interpretation, hyperparameters)
    ]
    possible = [
        interpretation
        for interpretation in selected or interpretations
        if interpretation.contradiction is None
    ]
    if selected and len(selected) < len(interpretations) and not possible:
        possible = selected
    if not possible:
        reasons = "; ".join(
            f"not {interpretation.description}, since {interpretation.contradiction}"
            for interpretation in interpretations[:_MAX_LISTED]
        )
        raise PackageError(f"{path} returns {shapes}, which swath cannot read: {reasons}")
    remaining = _best_supported(possible)
    if not any(
        interpretation.is_declared or interpretation.is_conclusive for interpretation in remaining
    ):
        remaining = [
            *remaining,
            *(
                interpretation
                for interpretation in selected or interpretations
                if interpretation.is_uncertain and interpretation.is_declared
            ),
        ]
    if len(remaining) > 1:
        raise PackageError(_ambiguity_message(path, shapes, remaining))
    return remaining[0].inferred


def _matches_settings(interpretation: Interpretation, hyperparameters: Mapping[str, Any]) -> bool:
    return all(
        interpretation.settings.get(name, value) == value for name, value in hyperparameters.items()
    )


def _best_supported(possible: Sequence[Interpretation]) -> Sequence[Interpretation]:
    """Return the interpretations with the most evidence; several if their evidence is equal."""
    conclusive = [interpretation for interpretation in possible if interpretation.is_conclusive]
    declared = [interpretation for interpretation in possible if interpretation.is_declared]
    conclusive_and_declared = [
        interpretation for interpretation in conclusive if interpretation.is_declared
    ]
    if conclusive and declared and not conclusive_and_declared:
        return [*conclusive, *declared]
    return conclusive_and_declared or conclusive or declared or possible


def _ambiguity_message(path: Path, shapes: str, remaining: Sequence[Interpretation]) -> str:
    """Return the error message that lists the interpretations and the options to choose one."""
    differing = sorted(
        name
        for name in {name for interpretation in remaining for name in interpretation.settings}
        if len({repr(interpretation.settings.get(name)) for interpretation in remaining}) > 1
    )
    choices = [
        interpretation.description + _options(interpretation, differing)
        for interpretation in remaining[:_MAX_LISTED]
    ]
    more = (
        f"; there are {len(remaining) - _MAX_LISTED} more interpretations"
        if len(remaining) > _MAX_LISTED
        else ""
    )
    are_distinguishable = len(
        {_options(interpretation, differing) for interpretation in remaining}
    ) == len(remaining)
    remedy = (
        "choose one with --set"
        if are_distinguishable
        else "name the outputs boxes, scores and labels"
    )
    return (
        f"{path} returns {shapes}, which can be read as {', or as '.join(choices)}{more}: "
        f"{remedy}, or export with names and metadata"
    )


def _options(interpretation: Interpretation, names: Sequence[str]) -> str:
    """Return the options that choose an interpretation, in parentheses; empty if there are none."""
    options = [
        f"--set {n}={interpretation.settings[n]}" for n in names if n in interpretation.settings
    ]
    return f" ({' '.join(options)})" if options else ""
