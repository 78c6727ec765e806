"""Class maps: outlines painted into pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from rasterio.env import Env
from rasterio.features import rasterize
from rasterio.session import DummySession

from swath.errors import LabelsError
from swath.training.data.crop import NOTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection, LabelledScene
    from swath.raster.scene_info import Box

UNKNOWN = 254
"""In what is painted: a pixel whose class nobody knows. It becomes one that is not valid."""


class Painter:
    """Paints windows of the scenes of a collection."""

    def __init__(self, collection: Collection) -> None:
        """Check that there is something to paint.

        Raises:
            LabelsError: labels are boxes alone, or there are more classes than a byte tells apart.
        """
        for scene in collection.scenes:
            if scene.outlines is None:
                raise LabelsError(
                    f"the labels of {scene.uri} are not all outlines, which class maps are painted "
                    "from; give each object a polygon or a mask, or train a detector"
                )
        if len(collection.classes) > UNKNOWN:
            raise LabelsError(
                f"there are {len(collection.classes)} classes; a class map holds {UNKNOWN} at most"
            )
        self._scenes = collection.scenes

    def __call__(self, place: int, window: Box) -> NDArray[np.uint8]:
        """The class map of a window.

        A pixel is of the object that its centre lies in, of the smallest where several do. Where
        only a crowd lies it is UNKNOWN.

        Args:
            place: of the scene in the collection.
            window: (x, y, width, height) in scene px.

        Returns:
            (height, width): each pixel's class, NOTHING or UNKNOWN.
        """
        scene = self._scenes[place]
        x, y, width, height = window
        near = _order(scene, np.array([x, y, x + width, y + height]))
        painted = np.full((height, width), NOTHING, np.uint8)
        if not len(near) or scene.outlines is None:
            return painted
        values = np.where(scene.crowd, UNKNOWN, scene.classes)[near].tolist()
        # rasterio's arithmetic would else start a boto3 session for each call.
        with Env(session=DummySession()):
            rasterize(
                zip(shapely.transform(scene.outlines[near], _doubled), values, strict=True),
                out=painted,
                transform=Affine.scale(2) @ Affine.translation(x, y),
            )
        return painted


def _doubled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """In half pixels: rasterio would warn that an array whose unit is a pixel has no place."""
    return 2 * points


def _order(scene: LabelledScene, frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """The objects near a frame in the order of painting: crowds, then from large to small."""
    boxes = scene.boxes
    near = np.flatnonzero(
        (boxes[:, 2:] > frame[:2]).all(axis=1) & (boxes[:, :2] < frame[2:]).all(axis=1)
    )
    areas = shapely.area(scene.outlines[near]) if scene.outlines is not None else np.empty(0)
    order = np.lexsort((-areas, ~scene.crowd[near]))
    return np.asarray(near[order])
