"""Labelled scenes from files: COCO, GeoJSON or the layout of SpaceNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from swath.errors import LabelsError
from swath.labels.coco import read_coco
from swath.labels.collection import Collection
from swath.labels.files import digests, read_text
from swath.labels.objects import SceneLabels, class_list, labelled_scene

Form = Literal["auto", "coco", "geojson", "spacenet"]


def read_collection(
    labels: str | None,
    images: str,
    *,
    form: Form = "auto",
    classes: Sequence[str] | None = None,
) -> Collection:
    """Labelled scenes.

    Args:
        labels: the file of labels; an S3 URI or a local path.
        images: the folder of the scenes.
        form: of the labels; by default, told from the file.
        classes: names of the classes, in the order wanted; by default those of the labels.

    Raises:
        LabelsError: the labels cannot be read or do not fit the scenes; the message names the
            file, the value and the remedy.
        SceneError: a scene is not one that swath reads.
    """
    if labels is None or form not in {"auto", "coco"}:
        raise LabelsError(f"{labels} is not COCO; give a COCO file of labels")
    found, known = read_coco(read_text(labels), source=labels, images=images)
    return collect(found, known if classes is None else classes)


def collect(found: Sequence[SceneLabels], classes: Sequence[str] | None) -> Collection:
    """A collection of labels as they were found; outlines only if every label has one."""
    names = class_list(found, classes)
    outlined = all(label.outline is not None for scene in found for label in scene.labels)
    sums = digests([scene.scene.uri for scene in found])
    return Collection.of(
        (
            labelled_scene(scene, names, sha256=sha256, outlined=outlined)
            for scene, sha256 in zip(found, sums, strict=True)
        ),
        names,
    )
