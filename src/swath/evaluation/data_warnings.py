"""Warn of problems that make an evaluation's metrics less meaningful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.evaluation.class_mapping import ClassMapping
    from swath.evaluation.metrics.objects import GroundTruth
    from swath.evaluation.run_scenes import SceneResult


def iter_warnings(classes: ClassMapping, scenes: Sequence[SceneResult]) -> Iterator[str]:
    """Yield warnings about an evaluation: those about classes, then those about each scene.

    Args:
        classes: Classes that are evaluated.
        scenes: Ground truth and predictions of each scene.
    """
    for label in np.flatnonzero(classes.is_missing_in_model).tolist():
        name = classes.names[label]
        count = sum(int(((s.truth.label == label) & ~s.truth.crowd).sum()) for s in scenes)
        if count:
            yield (
                f"the model has no class {name!r}, so its {_count_text(count, 'object')} count as "
                "missed; remove the class from the labels if the model need not detect it"
            )
    if classes.unlabeled:
        names = ", ".join(map(repr, classes.unlabeled))
        yield (
            f"the labels have no class {names}, so its detections are not evaluated; if the scenes "
            "contain no such object, add the class to the labels"
        )
    for scene in scenes:
        if scene.tiles.failed:
            yield (
                f"{scene.uri}: {scene.tiles.failed} of {scene.tiles.planned} tiles failed, and "
                "their objects count as missed; repair the scene, or tolerate no failures"
            )
        duplicates = _duplicate_rows(scene.truth)
        if len(duplicates):
            position = ", ".join(f"{value:g}" for value in scene.truth.box[duplicates[0]])
            yield (
                f"{scene.uri}: {_count_text(len(duplicates), 'object')} are labeled twice, such as "
                f"at ({position}); a detection matches only one of them. Remove the copies"
            )


def _duplicate_rows(truth: GroundTruth) -> Ints:
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


def _count_text(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
