"""What identifies a collection: its scenes' bytes and what was said to be in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from swath.labels.collection import LabelledScene


def digest_of(scenes: Iterable[LabelledScene], classes: Sequence[str]) -> str:
    """SHA-256, hex, that differs wherever a scene, a label or a class does.

    It knows scenes by name, not by folder, so that a copy of the collection has the same one; nor
    does the order of the scenes matter.
    """
    whole = hashlib.sha256(repr(tuple(classes)).encode())
    for part in sorted(map(_digest_of_scene, scenes)):
        whole.update(part)
    return whole.hexdigest()


def _digest_of_scene(scene: LabelledScene) -> bytes:
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
