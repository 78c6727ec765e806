"""Split collections by scene, so that no scene is in both the training and the validation data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swath.errors import LabelsError

if TYPE_CHECKING:
    from swath.labels.collection import Collection, LabeledScene


_MIN_FOLDS = 2


def folds(
    collection: Collection, count: int, *, seed: int = 0
) -> Iterator[tuple[Collection, Collection]]:
    """Yield each fold's training and validation collections for cross-validation.

    Each scene is in the validation data of one fold. The folds have similar numbers of objects:
    scenes are assigned in order of descending number of objects, each to the fold with the fewest
    so far. The result depends on the scenes' names and `seed`, not on their order or folder.

    Args:
        collection: Collection to split.
        count: Number of folds, at least 2.
        seed: Seed for the order of scenes with equal numbers of objects.

    Raises:
        LabelsError: There are fewer scenes than folds, or fewer than 2 folds.
    """
    if not _MIN_FOLDS <= count <= len(collection.scenes):
        raise LabelsError(
            f"{len(collection.scenes)} scenes cannot be split into {count} folds; "
            "choose at least 2 folds, and at most as many as there are scenes"
        )
    for names in _assign_folds(collection, count, seed):
        yield collection.without(names), collection.subset(names)


def _assign_folds(collection: Collection, count: int, seed: int) -> list[list[str]]:
    """Return the addresses of each fold's validation scenes."""
    names: list[list[str]] = [[] for _ in range(count)]
    weights = [0] * count

    def rank(scene: LabeledScene) -> tuple[int, str]:
        return -len(scene.boxes), hashlib.sha256(f"{seed}/{scene.name}".encode()).hexdigest()

    for scene in sorted(collection.scenes, key=rank):
        fold = weights.index(min(weights))
        names[fold].append(scene.uri)
        weights[fold] += len(scene.boxes) + 1  # + 1 so that a scene without objects counts, too
    return names
