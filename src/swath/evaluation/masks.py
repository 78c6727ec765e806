"""Count a scene's pixels by ground truth and prediction, one window at a time.

No mask is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.windows import Window

from swath.detection.detections import NO_LABEL
from swath.evaluation.metrics.pixels import count_pixels
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.dataset import open_dataset
from swath.raster.scene_info import PixelWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swath.evaluation.metrics.objects import GroundTruth, Objects
    from swath.raster.assets.stack import BandStack

_WINDOW_PX = 1024
"""Side in px of the windows that are counted."""

WindowLabels = Callable[[PixelWindow], "NDArray[np.uint16]"]
"""Function that returns the classes (rows, cols) of a window."""


def count_scene_pixels(
    uri: str,
    bands: Sequence[str],
    truth: GroundTruth,
    read_predicted: WindowLabels,
    classes: int,
    *,
    stack: BandStack | None = None,
) -> NDArray[np.int64]:
    """Count a scene's pixels by class of the ground truth and of the prediction.

    Pixels without data are not counted, nor are pixels that only a crowd covers.

    Args:
        uri: Address of the scene.
        bands: Names of the model's bands.
        truth: Ground truth with outlines, including objects of the background class.
        read_predicted: Function that returns the predicted classes of a window; `classes` is the
            background.
        classes: Number of classes.
        stack: Files and pixel grid of the scene, on which the pixels are counted; None for a file
            whose own pixels are counted.

    Returns:
        (classes + 1, classes + 1): rows are the ground truth, columns the prediction; the last
        ones are the background.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    # `unlabeled` marks pixels without any label. Labeled background, such as an island in a lake,
    # has the value `classes`.
    unlabeled = classes + 1
    read_truth, read_crowds = (
        make_rasterizer(truth.take(which), unlabeled) for which in (~truth.crowd, truth.crowd)
    )
    with open_model_scene(uri, BandNeeds(tuple(bands)), stack=stack) as opened:
        scene, numbers = opened.scene, opened.bands
        for window in _windows(scene.info.width, scene.info.height):
            labels = read_truth(window)
            unknown = (labels == unlabeled) & (read_crowds(window) != unlabeled)
            labels[labels == unlabeled] = classes
            counted = scene.read_valid(window, numbers) & ~unknown
            counts += count_pixels(labels, read_predicted(window), counted, classes)
    return counts


def make_rasterizer(objects: Objects, background: int) -> WindowLabels:
    """Return a function that rasterizes objects; where they overlap, the smallest one is on top.

    Args:
        objects: Objects, with outlines or boxes in scene px.
        background: Value of pixels that no object covers.
    """
    objects = objects.take(np.argsort(-objects.area, kind="stable"))
    outline = objects.outline if objects.outline is not None else shapely.box(*objects.box.T)
    tree = shapely.STRtree(outline)

    def draw(window: PixelWindow) -> NDArray[np.uint16]:
        x, y, width, height = window
        near = np.sort(tree.query(shapely.box(x, y, x + width, y + height)))
        if not len(near):
            return np.full((height, width), background, np.uint16)
        return np.asarray(
            rasterize(
                zip(outline[near], objects.label[near].tolist(), strict=True),
                out_shape=(height, width),
                fill=background,
                transform=Affine.translation(x, y),
                dtype="uint16",
            )
        )

    return draw


def make_mask_reader(path: Path, from_model: NDArray[np.int64], background: int) -> WindowLabels:
    """Return a function that reads a run's mask and maps its classes to the evaluated ones.

    Args:
        path: Path of the mask.
        from_model: (model classes,): index of the evaluated class; -1 for classes that are not
            evaluated.
        background: Value of all other pixels.
    """
    numbers = np.full(NO_LABEL + 1, background, np.uint16)
    numbers[: len(from_model)] = np.where(from_model < 0, background, from_model)

    def read(window: PixelWindow) -> NDArray[np.uint16]:
        with open_dataset(str(path)) as file:
            labels = file.read(Window(*window), [1])[0]
        return np.asarray(numbers[labels], np.uint16)

    return read


def _windows(width: int, height: int) -> Iterator[PixelWindow]:
    for y in range(0, height, _WINDOW_PX):
        for x in range(0, width, _WINDOW_PX):
            yield x, y, min(_WINDOW_PX, width - x), min(_WINDOW_PX, height - y)
