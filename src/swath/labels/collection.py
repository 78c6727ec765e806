"""Labelled scenes, whatever form their labels came in."""

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
class LabelledScene:
    """One scene and the objects in it, in its pixels."""

    uri: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    """(objects, 4): x_min, y_min, x_max, y_max; px, from the scene's upper left corner."""
    classes: NDArray[np.int64]
    """(objects,): places in `Collection.classes`."""
    outlines: NDArray[Any] | None
    """(objects,) of shapely Polygons and MultiPolygons in px; None where there are only boxes."""
    crowd: NDArray[np.bool_]
    """(objects,): True where a label stands for an area whose detections count neither way."""
    areas: NDArray[np.float64] | None = None
    """(objects,): px², as the labels state them; None: of the outlines, or else of the boxes."""
    sha256: str = ""
    """Of the scene's bytes, hex; empty where nobody read them."""

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.uri.rsplit("/", 1)[-1]

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(objects,): px², by which COCO's classes of size go: small, medium and large."""
        if self.areas is not None:
            return self.areas
        if self.outlines is not None:
            return np.asarray(shapely.area(self.outlines), np.float64)
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.asarray(sides[:, 0] * sides[:, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Labelled scenes of the same classes."""

    scenes: tuple[LabelledScene, ...]
    classes: tuple[str, ...]
    digest: str
    """SHA-256, hex, of the labels and the scenes' bytes: what a package says it was trained on."""

    @classmethod
    def of(cls, scenes: Iterable[LabelledScene], classes: Iterable[str]) -> Collection:
        """Those scenes, with their digest."""
        scenes, classes = tuple(scenes), tuple(classes)
        return cls(scenes=scenes, classes=classes, digest=_digest(scenes, classes))

    def subset(self, names: Iterable[str]) -> Collection:
        """The scenes of those names or addresses, in the order of the collection.

        Raises:
            LabelsError: a name is of no scene, or of several.
        """
        wanted = {self._find(name) for name in names}
        chosen = (scene for place, scene in enumerate(self.scenes) if place in wanted)
        return Collection.of(chosen, self.classes)

    def without(self, names: Iterable[str]) -> Collection:
        """All scenes but those of those names or addresses.

        Raises:
            LabelsError: a name is of no scene, or of several.
        """
        unwanted = {self._find(name) for name in names}
        chosen = (scene for place, scene in enumerate(self.scenes) if place not in unwanted)
        return Collection.of(chosen, self.classes)

    def _find(self, name: str) -> int:
        found = [place for place, scene in enumerate(self.scenes) if scene.uri == name]
        found = found or [place for place, scene in enumerate(self.scenes) if scene.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise LabelsError(
                f"{len(found)} scenes are named {name}; give the whole address of one"
            )
        has = ", ".join(scene.name for scene in self.scenes[:20])
        raise LabelsError(f"there is no scene {name} in the collection; it has {has}")


def _digest(scenes: Iterable[LabelledScene], classes: Sequence[str]) -> str:
    """Return a SHA-256, hex, that differs wherever a scene, a label or a class does.

    Scenes count by name, not by folder, so that a copy of the collection has the same digest.
    The order of the scenes does not matter.
    """
    whole = hashlib.sha256(repr(tuple(classes)).encode())
    for part in sorted(map(_digest_scene, scenes)):
        whole.update(part)
    return whole.hexdigest()


def _digest_scene(scene: LabelledScene) -> bytes:
    known = repr((scene.name, scene.sha256, scene.width, scene.height, len(scene.boxes)))
    digest = hashlib.sha256(known.encode())
    digest.update(np.ascontiguousarray(scene.boxes, "<f8").tobytes())
    digest.update(np.ascontiguousarray(scene.classes, "<i8").tobytes())
    digest.update(np.ascontiguousarray(scene.crowd, np.bool_).tobytes())
    if scene.areas is not None:
        digest.update(np.ascontiguousarray(scene.areas, "<f8").tobytes())
    if scene.outlines is not None:
        for outline in shapely.to_wkb(scene.outlines, byte_order=1):
            digest.update(outline)
    return digest.digest()
