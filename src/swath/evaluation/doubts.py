"""Warn of problems that make an evaluation's metrics less meaningful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.evaluation.class_mapping import Classes
    from swath.evaluation.metrics.objects import Truth
    from swath.evaluation.run_scenes import SeenScene


def doubts_about(classes: Classes, scenes: Sequence[SeenScene]) -> Iterator[str]:
    """Yield warnings about an evaluation: those about classes, then those about each scene.

    Args:
        classes: Classes that are evaluated.
        scenes: Ground truth and predictions of each scene.
    """
    for label in np.flatnonzero(classes.unknown).tolist():
        name = classes.names[label]
        count = sum(int(((s.truth.label == label) & ~s.truth.crowd).sum()) for s in scenes)
        if count:
            yield (
                f"the model knows no class {name!r}, so its {_counted(count, 'object')} count as "
                "missed; leave the class out of the labels if the model is not meant to find it"
            )
    if classes.unlabelled:
        names = ", ".join(map(repr, classes.unlabelled))
        yield (
            f"the labels know no class {names}, so what the model finds of it is left out; add it "
            "to the labels' classes if it was looked for and is nowhere"
        )
    for scene in scenes:
        if scene.tiles.failed:
            yield (
                f"{scene.uri}: {scene.tiles.failed} of {scene.tiles.planned} tiles failed, and "
                "what is labelled there counts as missed; mend the scene, or tolerate no failures"
            )
        twice = _twice(scene.truth)
        if len(twice):
            place = ", ".join(f"{value:g}" for value in scene.truth.box[twice[0]])
            yield (
                f"{scene.uri}: {_counted(len(twice), 'object')} are labelled twice, such as at "
                f"({place}), and no detection can stand for both; remove the copies"
            )


def _twice(truth: Truth) -> Ints:
    """Return the rows that repeat an earlier row's class, box and outline; crowds are ignored."""
    shapes: list[object] = [None] * len(truth)
    if truth.outline is not None:
        shapes = shapely.to_wkb(shapely.normalize(truth.outline)).tolist()
    seen: set[object] = set()
    rows = []
    columns = (truth.label.tolist(), truth.crowd.tolist(), truth.box.tolist(), shapes)
    for row, (label, crowd, box, shape) in enumerate(zip(*columns, strict=True)):
        known = (label, tuple(box), shape)
        if crowd:
            continue
        if known in seen:
            rows.append(row)
        seen.add(known)
    return np.array(rows, np.int64)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
