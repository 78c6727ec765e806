"""Raise the score threshold of a model package for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from swath.errors import SettingsError

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription


def with_score_threshold(description: ModelDescription, threshold: float) -> ModelDescription:
    """Return the description with another score threshold.

    A threshold can only be raised. The weights may apply a threshold of their own, and the
    package's author measured the model at the package's threshold.

    Args:
        description: Description of the model package.
        threshold: Lowest score that is reported, 0 to 1.

    Raises:
        SettingsError: The threshold is below that of the package.
    """
    minimum = description.score_threshold
    if threshold < minimum:
        raise SettingsError(
            f"the score threshold {threshold:g} is below that of the model package "
            f"{description.name}, which reports scores from {minimum:g} on; give {minimum:g} or "
            "more, or lower score_threshold in the package's mlm:hyperparameters"
        )
    return msgspec.structs.replace(description, score_threshold=threshold)
