"""Collections split by scene: no scene is both learnt from and measured against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swath.errors import LabelsError

if TYPE_CHECKING:
    from swath.labels.collection import Collection, LabelledScene


_FEWEST = 2


def folds(
    collection: Collection, count: int, *, seed: int = 0
) -> Iterator[tuple[Collection, Collection]]:
    """Each fold's collections to train on and to validate on.

    Every scene is validated on in one fold. Folds get about as many objects each: scenes go, from
    the one with most objects down, to the fold that has fewest so far. Which scenes share a fold
    depends on their names and `seed`, not on their order or folder.

    Args:
        collection: what is split.
        count: of folds, at least 2.
        seed: another one deals scenes of as many objects differently.

    Raises:
        LabelsError: there are fewer scenes than folds, or fewer than two folds.
    """
    if not _FEWEST <= count <= len(collection.scenes):
        raise LabelsError(
            f"{count} folds of {len(collection.scenes)} scenes cannot be made; "
            "ask for 2 or more, and for no more than there are scenes"
        )
    for names in _dealt(collection, count, seed):
        yield collection.without(names), collection.subset(names)


def _dealt(collection: Collection, count: int, seed: int) -> list[list[str]]:
    """The addresses of each fold's scenes."""
    names: list[list[str]] = [[] for _ in range(count)]
    weights = [0] * count

    def rank(scene: LabelledScene) -> tuple[int, str]:
        return -len(scene.boxes), hashlib.sha256(f"{seed}/{scene.name}".encode()).hexdigest()

    for scene in sorted(collection.scenes, key=rank):
        fold = weights.index(min(weights))
        names[fold].append(scene.uri)
        weights[fold] += len(scene.boxes) + 1  # a scene without objects is to count, too
    return names
