"""The score threshold of a run: a package's own, or a higher one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from swath.errors import SettingsError

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription


def with_score_threshold(description: ModelDescription, wanted: float) -> ModelDescription:
    """Return the model with another score threshold.

    A threshold may be raised only. Weights may have one of their own inside, and a package's is
    what its author measured it with.

    Args:
        description: Description of the model package.
        wanted: Lowest score that is reported, 0 to 1.

    Raises:
        SettingsError: The threshold is below the package's own.
    """
    own = description.score_threshold
    if wanted < own:
        raise SettingsError(
            f"the score threshold {wanted:g} is below that of the model package "
            f"{description.name}, which reports scores from {own:g} on; give {own:g} or more, or "
            "lower score_threshold in the package's mlm:hyperparameters"
        )
    return msgspec.structs.replace(description, score_threshold=wanted)
