"""Rename the classes of labels, for example to the names that an evaluated model uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swath.errors import InputError, LabelsError

if TYPE_CHECKING:
    from swath.labels.records import SceneLabels


def parse_class_map(texts: Sequence[str]) -> dict[str, str]:
    """Parse assignments such as `vessel=ship` into a mapping from old to new class names.

    Raises:
        InputError: A text is not an assignment, or a class has two new names.
    """
    names: dict[str, str] = {}
    for text in texts:
        old, equals, new = (part.strip() for part in text.partition("="))
        if not (old and equals and new):
            raise InputError(f"--map {text} is not an assignment; write --map vessel=ship")
        if names.setdefault(old, new) != new:
            raise InputError(
                f"--map gives the class {old!r} two names, {names[old]!r} and {new!r}; give one"
            )
    return names


def rename_classes(
    scene_labels: Sequence[SceneLabels], classes: Sequence[str], names: Mapping[str, str]
) -> tuple[Sequence[SceneLabels], tuple[str, ...]]:
    """Return labels and classes with new class names.

    All names are replaced at once. Two classes that get the same name become one.

    Args:
        scene_labels: Scenes with their labels.
        classes: Names of the classes, in order.
        names: New names by old name.
    """
    if not names:
        return scene_labels, tuple(classes)
    renamed = [
        dataclasses.replace(
            scene,
            labels=[
                dataclasses.replace(label, class_name=names.get(label.class_name, label.class_name))
                for label in scene.labels
            ],
        )
        for scene in scene_labels
    ]
    return renamed, tuple(dict.fromkeys(names.get(one, one) for one in classes))


def check_renamed(names: Mapping[str, str], classes: Sequence[str], source: str) -> None:
    """Check that the labels have each class that is renamed.

    Args:
        names: New names by old name.
        classes: Names of the labels' classes.
        source: Name of the label file, for messages.

    Raises:
        LabelsError: The labels lack a class. The message lists the labels' classes.
    """
    for old in names:
        if old not in classes:
            raise LabelsError(
                f"--map renames the class {old!r}, but {source} has "
                f"{', '.join(map(repr, classes)) or 'no class'}; name one of its classes"
            )
