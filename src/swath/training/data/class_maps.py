"""Rasterize the outlines of labels into class maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from rasterio.env import Env
from rasterio.features import rasterize
from rasterio.session import DummySession

from swath.errors import LabelsError
from swath.training.data.crop import NO_CLASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection, LabeledScene
    from swath.raster.scene_info import PixelWindow

UNKNOWN_CLASS = 254
"""Value of a pixel of unknown class in a class map; such pixels become invalid."""


class ClassMapRasterizer:
    """Rasterizes the class maps of windows of a collection's scenes."""

    def __init__(self, collection: Collection) -> None:
        """Check that class maps can be rasterized.

        Args:
            collection: Labeled scenes.

        Raises:
            LabelsError: Labels have no outlines, or there are more than 254 classes.
        """
        for scene in collection.scenes:
            if scene.outlines is None:
                raise LabelsError(
                    f"some labels of {scene.uri} have no outline, but class maps need outlines; "
                    "give each object a polygon or a mask, or train a detector"
                )
        if len(collection.classes) > UNKNOWN_CLASS:
            raise LabelsError(
                f"there are {len(collection.classes)} classes; the maximum is {UNKNOWN_CLASS}"
            )
        self._scenes = collection.scenes

    def __call__(self, scene_index: int, window: PixelWindow) -> NDArray[np.uint8]:
        """Return the class map of a window.

        A pixel has the class of the object that contains its center, or of the smallest of several.
        A pixel in a crowd region without an object is UNKNOWN_CLASS.

        Args:
            scene_index: Index of the scene in the collection.
            window: Window in the scene, (x, y, width, height) in px.

        Returns:
            Class index of each pixel, NO_CLASS or UNKNOWN_CLASS: uint8 (height, width).
        """
        scene = self._scenes[scene_index]
        x, y, width, height = window
        order = _drawing_order(scene, np.array([x, y, x + width, y + height]))
        class_map = np.full((height, width), NO_CLASS, np.uint8)
        if not len(order) or scene.outlines is None:
            return class_map
        values = np.where(scene.crowd, UNKNOWN_CLASS, scene.classes)[order].tolist()
        # Without this session, rasterio would start a boto3 session for each call.
        with Env(session=DummySession()):
            rasterize(
                zip(shapely.transform(scene.outlines[order], _to_half_pixels), values, strict=True),
                out=class_map,
                transform=Affine.scale(2) @ Affine.translation(x, y),
            )
        return class_map


def _to_half_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert points (n, 2) from pixels to half pixels.

    For a transform with units of pixels, rasterio would warn of missing georeferencing.
    """
    return 2 * points


def _drawing_order(scene: LabeledScene, frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of objects that meet a frame, in drawing order.

    Crowd regions come first, and each group goes from large to small.

    Args:
        scene: Labeled scene.
        frame: x_min, y_min, x_max, y_max in scene px.
    """
    boxes = scene.boxes
    near = np.flatnonzero(
        (boxes[:, 2:] > frame[:2]).all(axis=1) & (boxes[:, :2] < frame[2:]).all(axis=1)
    )
    areas = shapely.area(scene.outlines[near]) if scene.outlines is not None else np.empty(0)
    order = np.lexsort((-areas, ~scene.crowd[near]))
    return np.asarray(near[order])
