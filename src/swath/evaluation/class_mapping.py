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
class Classes:
    """Classes that are evaluated: those of the labels, except the model's background."""

    names: tuple[str, ...]
    """Names of the evaluated classes."""
    of_labels: NDArray[np.int64]
    """(label classes,): index in `names`; -1 for the background."""
    of_model: NDArray[np.int64]
    """(model classes,): index in `names`; -1 for a class that the labels lack."""
    unlabelled: tuple[str, ...]
    """Classes of the model that the labels lack, so they are not evaluated."""

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(names,): True for a class that the model lacks, so all its objects are missed."""
        return np.isin(np.arange(len(self.names)), self.of_model, invert=True)

    @classmethod
    def of(cls, description: ModelDescription, collection: Collection) -> Classes:
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
                f"the labels name a class {BACKGROUND!r}, as reports call what is of no class; "
                "rename it"
            )
        _refuse_alike(description.classes, collection.classes)
        background = description.background
        nothing = None if background is None else description.classes[background]
        names = tuple(name for name in collection.classes if name != nothing)
        places = {name: place for place, name in enumerate(names)}
        shared = [name for name in description.classes if name in places]
        if not shared:
            raise LabelsError(
                f"the labels name {list(collection.classes)} and the model "
                f"{list(description.classes)}: classes are the same where their names are; say "
                "by --map which of the labels is which of the model, as --map vessel=ship"
            )
        return cls(
            names=names,
            of_labels=_places(collection.classes, places),
            of_model=_places(description.classes, places),
            unlabelled=tuple(
                name for name in description.classes if name not in places and name != nothing
            ),
        )


def _refuse_alike(of_model: Sequence[str], of_labels: Sequence[str]) -> None:
    alone = {_plain(name): name for name in of_model if name not in of_labels}
    for name in of_labels:
        other = alone.get(_plain(name))
        if other is not None and name not in of_model:
            raise LabelsError(
                f"the labels name the class {name!r} and the model {other!r}: classes are the same "
                f"where their names are; give --map {name}={other}"
            )


def _plain(name: str) -> str:
    """Return a name normalized in case, Unicode form, white space, hyphens and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(re.sub(r"[\s_-]+", " ", folded).split()) or folded


def _places(names: tuple[str, ...], places: dict[str, int]) -> NDArray[np.int64]:
    return np.array([places.get(name, -1) for name in names], np.int64)
