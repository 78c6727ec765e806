"""Which class of a model is which class of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.mlm import ModelDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes that are measured: those that are labelled, but for the model's background."""

    names: tuple[str, ...]
    of_labels: NDArray[np.int64]
    """For each class of the labels, its place in `names`; -1 for the background."""
    of_model: NDArray[np.int64]
    """For each class of the model, its place in `names`; -1 where nothing is labelled so."""
    unlabelled: tuple[str, ...]
    """Classes of the model that the labels do not know: nothing can be said of them."""

    @classmethod
    def of(cls, description: ModelDescription, collection: Collection) -> Classes:
        """Classes are the same where their names are.

        Raises:
            LabelsError: no class of the model is labelled.
        """
        background = description.background
        nothing = None if background is None else description.classes[background]
        names = tuple(name for name in collection.classes if name != nothing)
        places = {name: place for place, name in enumerate(names)}
        shared = [name for name in description.classes if name in places]
        if not shared:
            raise LabelsError(
                f"the labels name {list(collection.classes)} and the model "
                f"{list(description.classes)}: classes are the same where their names are; rename "
                "those of the one or the other"
            )
        return cls(
            names=names,
            of_labels=_places(collection.classes, places),
            of_model=_places(description.classes, places),
            unlabelled=tuple(
                name for name in description.classes if name not in places and name != nothing
            ),
        )


def _places(names: tuple[str, ...], places: dict[str, int]) -> NDArray[np.int64]:
    return np.array([places.get(name, -1) for name in names], np.int64)
