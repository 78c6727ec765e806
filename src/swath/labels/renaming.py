"""Classes of labels under other names, such as those of the model that is measured by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swath.errors import InputError, LabelsError

if TYPE_CHECKING:
    from swath.labels.records import SceneLabels


def parse_class_map(texts: Sequence[str]) -> dict[str, str]:
    """Read assignments such as `vessel=ship`: the class of the labels, and its other name.

    Raises:
        InputError: one is no assignment, or a class has two other names.
    """
    names: dict[str, str] = {}
    for text in texts:
        old, equals, new = (part.strip() for part in text.partition("="))
        if not (old and equals and new):
            raise InputError(f"--map {text} is no assignment; write --map vessel=ship")
        if names.setdefault(old, new) != new:
            raise InputError(
                f"--map gives the class {old!r} two names, {names[old]!r} and {new!r}; give one"
            )
    return names


def rename_classes(
    found: Sequence[SceneLabels], classes: Sequence[str], names: Mapping[str, str]
) -> tuple[Sequence[SceneLabels], tuple[str, ...]]:
    """Return labels and classes under other names, all replaced at once; two may become one."""
    if not names:
        return found, tuple(classes)
    renamed = [
        dataclasses.replace(
            scene,
            labels=[
                dataclasses.replace(label, class_name=names.get(label.class_name, label.class_name))
                for label in scene.labels
            ],
        )
        for scene in found
    ]
    return renamed, tuple(dict.fromkeys(names.get(one, one) for one in classes))


def check_renamed(names: Mapping[str, str], classes: Sequence[str], source: str) -> None:
    """Check that labels have each class that gets another name.

    Raises:
        LabelsError: they lack one; the message says which there are.
    """
    for old in names:
        if old not in classes:
            raise LabelsError(
                f"--map renames the class {old!r}, and {source} has "
                f"{', '.join(map(repr, classes)) or 'no class'}; name one of its classes"
            )
