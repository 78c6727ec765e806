"""Hold labeled scenes, whatever the format of their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledScene:
    """Scene with its labeled objects."""

    uri: str
    width: int
    """Width of the scene in px."""
    height: int
    """Height of the scene in px."""
    boxes: NDArray[np.float64]
    """(objects, 4): x_min, y_min, x_max, y_max in px from the scene's upper left corner."""
    classes: NDArray[np.int64]
    """(objects,): indices in `Collection.classes`."""
    outlines: NDArray[Any] | None
    """(objects,): shapely Polygons and MultiPolygons in scene px; None if there are only boxes."""
    crowd: NDArray[np.bool_]
    """(objects,): True for a crowd, in which detections count as neither hits nor false alarms."""
    areas: NDArray[np.float64] | None = None
    """(objects,): areas in px²; None to use the areas of the outlines, or of the boxes if there are
    no outlines."""
    sha256: str = ""
    """SHA-256, hex, of the scene's bytes; empty if it was not computed."""

    @property
    def name(self) -> str:
        """Last part of the scene's address."""
        return self.uri.rsplit("/", 1)[-1]

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(objects,): areas in px² for COCO's object sizes: small, medium and large."""
        if self.areas is not None:
            return self.areas
        if self.outlines is not None:
            return np.asarray(shapely.area(self.outlines), np.float64)
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.asarray(sides[:, 0] * sides[:, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Labeled scenes of the same classes."""

    scenes: tuple[LabeledScene, ...]
    classes: tuple[str, ...]
    digest: str
    """SHA-256, hex, of the labels and the scenes' bytes. A model package identifies its training
    data by it."""

    @classmethod
    def from_scenes(cls, scenes: Iterable[LabeledScene], classes: Iterable[str]) -> Collection:
        """Return a collection of scenes, with its digest.

        Args:
            scenes: Labeled scenes.
            classes: Names of the classes, in order.
        """
        scenes, classes = tuple(scenes), tuple(classes)
        return cls(scenes=scenes, classes=classes, digest=_digest(scenes, classes))

    def subset(self, names: Iterable[str]) -> Collection:
        """Return a collection of some of the scenes, in the order of this collection.

        Args:
            names: Names or addresses of the scenes to keep.

        Raises:
            LabelsError: A name belongs to no scene, or to several.
        """
        wanted = {self._scene_index(name) for name in names}
        chosen = (scene for index, scene in enumerate(self.scenes) if index in wanted)
        return Collection.from_scenes(chosen, self.classes)

    def without(self, names: Iterable[str]) -> Collection:
        """Return a collection without some of the scenes.

        Args:
            names: Names or addresses of the scenes to leave out.

        Raises:
            LabelsError: A name belongs to no scene, or to several.
        """
        unwanted = {self._scene_index(name) for name in names}
        chosen = (scene for index, scene in enumerate(self.scenes) if index not in unwanted)
        return Collection.from_scenes(chosen, self.classes)

    def _scene_index(self, name: str) -> int:
        indices = [index for index, scene in enumerate(self.scenes) if scene.uri == name]
        indices = indices or [
            index for index, scene in enumerate(self.scenes) if scene.name == name
        ]
        if len(indices) == 1:
            return indices[0]
        if indices:
            raise LabelsError(
                f"{len(indices)} scenes are named {name}; give the whole address of one"
            )
        has = ", ".join(scene.name for scene in self.scenes[:20])
        raise LabelsError(f"the collection has no scene {name}; it has {has}")


def _digest(scenes: Iterable[LabeledScene], classes: Sequence[str]) -> str:
    """Return a SHA-256, hex, over the scenes, labels and classes.

    It covers the names of the scenes, not their folders, so a copy of the collection has the same
    digest. It does not depend on the order of the scenes.
    """
    whole = hashlib.sha256(repr(tuple(classes)).encode())
    for part in sorted(map(_digest_scene, scenes)):
        whole.update(part)
    return whole.hexdigest()


def _digest_scene(scene: LabeledScene) -> bytes:
    header = repr((scene.name, scene.sha256, scene.width, scene.height, len(scene.boxes)))
    digest = hashlib.sha256(header.encode())
    digest.update(np.ascontiguousarray(scene.boxes, "<f8").tobytes())
    digest.update(np.ascontiguousarray(scene.classes, "<i8").tobytes())
    digest.update(np.ascontiguousarray(scene.crowd, np.bool_).tobytes())
    if scene.areas is not None:
        digest.update(np.ascontiguousarray(scene.areas, "<f8").tobytes())
    if scene.outlines is not None:
        for outline in shapely.to_wkb(scene.outlines, byte_order=1):
            digest.update(outline)
    return digest.digest()
