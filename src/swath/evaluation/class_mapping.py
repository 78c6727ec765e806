"""Map the classes of a model to the classes of the labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import LabelsError
from swath.evaluation.results import BACKGROUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.models.mlm import ModelDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMapping:
    """Classes that are evaluated: those of the labels, except the model's background."""

    names: tuple[str, ...]
    """Names of the evaluated classes."""
    from_labels: NDArray[np.int64]
    """(label classes,): index in `names`; -1 for the background."""
    from_model: NDArray[np.int64]
    """(model classes,): index in `names`; -1 for a class that the labels lack."""
    unlabeled: tuple[str, ...]
    """Classes of the model that the labels lack, so they are not evaluated."""

    @property
    def is_missing_in_model(self) -> NDArray[np.bool_]:
        """(names,): True for a class that the model lacks, so all its objects are missed."""
        return np.isin(np.arange(len(self.names)), self.from_model, invert=True)

    @classmethod
    def from_description(
        cls, description: ModelDescription, collection: Collection
    ) -> ClassMapping:
        """Match the classes of a model and of labels by name.

        Args:
            description: Description of the model package.
            collection: Labeled scenes.

        Raises:
            LabelsError: The model and the labels have no class in common. Or two names differ only
                in case, white space, hyphens or underscores. Or a class of the labels has the name
                that reports use for the background.
        """
        if BACKGROUND in collection.classes:
            raise LabelsError(
                f"the labels have a class {BACKGROUND!r}, a name that reports use for the "
                "background; rename the class"
            )
        _check_similar_names(description.classes, collection.classes)
        background = description.background
        background_name = None if background is None else description.classes[background]
        names = tuple(name for name in collection.classes if name != background_name)
        indices = {name: index for index, name in enumerate(names)}
        shared = [name for name in description.classes if name in indices]
        if not shared:
            raise LabelsError(
                f"the labels have the classes {list(collection.classes)}, and the model has "
                f"{list(description.classes)}: no name is in both; map classes of the labels to "
                "classes of the model, as in --map vessel=ship"
            )
        return cls(
            names=names,
            from_labels=_to_indices(collection.classes, indices),
            from_model=_to_indices(description.classes, indices),
            unlabeled=tuple(
                name
                for name in description.classes
                if name not in indices and name != background_name
            ),
        )


def _check_similar_names(from_model: Sequence[str], from_labels: Sequence[str]) -> None:
    unmatched = {_normalize_name(name): name for name in from_model if name not in from_labels}
    for name in from_labels:
        other = unmatched.get(_normalize_name(name))
        if other is not None and name not in from_model:
            raise LabelsError(
                f"the labels have the class {name!r}, and the model has {other!r}: classes match "
                f"by their exact names; give --map {name}={other}"
            )


def _normalize_name(name: str) -> str:
    """Return a name normalized in case, Unicode form, white space, hyphens and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(re.sub(r"[\s_-]+", " ", folded).split()) or folded


def _to_indices(names: tuple[str, ...], indices: dict[str, int]) -> NDArray[np.int64]:
    return np.array([indices.get(name, -1) for name in names], np.int64)
