"""Pixels of a scene, known against seen, window by window: no mask is ever held whole."""

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
from swath.raster.dataset import open_dataset
from swath.raster.interpretation import select_bands
from swath.raster.scene import open_scene
from swath.raster.scene_info import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swath.evaluation.metrics.objects import Objects, Truth

_WINDOW = 1024
"""px; the side of what is counted at once."""

Labels = Callable[[Box], "NDArray[np.uint16]"]
"""Gives the classes (rows, cols) of a window."""


def count_scene(
    uri: str, bands: Sequence[str], truth: Truth, seen: Labels, classes: int
) -> NDArray[np.int64]:
    """Count a scene's pixels by known and by seen class.

    Args:
        uri: of the scene: pixels without data are not counted.
        bands: the model's.
        truth: with outlines, those of the background too; where only a crowd lies, nothing is
            counted.
        seen: what a model says of a window; `classes` stands for the background.
        classes: how many there are.

    Returns:
        (classes + 1, classes + 1): rows are what is known, columns what was seen.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    # Background that is labelled, as an island in a lake, is no crowd and no gap.
    nothing = classes + 1
    known, crowds = (drawn(truth.take(which), nothing) for which in (~truth.crowd, truth.crowd))
    with open_scene(uri) as scene:
        numbers = select_bands(scene.info, bands)
        for window in _windows(scene.info.width, scene.info.height):
            labelled = known(window)
            unknown = (labelled == nothing) & (crowds(window) != nothing)
            labelled[labelled == nothing] = classes
            counted = scene.valid(window, numbers) & ~unknown
            counts += count_pixels(labelled, seen(window), counted, classes)
    return counts


def drawn(objects: Objects, background: int) -> Labels:
    """Draw the classes of objects with outlines; of several over one another, the least shows."""
    objects = objects.take(np.argsort(-objects.area, kind="stable"))
    outline = objects.outline if objects.outline is not None else shapely.box(*objects.box.T)
    tree = shapely.STRtree(outline)

    def draw(window: Box) -> NDArray[np.uint16]:
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


def of_mask(path: Path, of_model: NDArray[np.int64], background: int) -> Labels:
    """The classes that a run's mask holds, in the numbers of the classes measured."""
    numbers = np.full(NO_LABEL + 1, background, np.uint16)
    numbers[: len(of_model)] = np.where(of_model < 0, background, of_model)

    def read(window: Box) -> NDArray[np.uint16]:
        with open_dataset(str(path)) as file:
            labels = file.read(Window(*window), [1])[0]
        return np.asarray(numbers[labels], np.uint16)

    return read


def _windows(width: int, height: int) -> Iterator[Box]:
    for y in range(0, height, _WINDOW):
        for x in range(0, width, _WINDOW):
            yield x, y, min(_WINDOW, width - x), min(_WINDOW, height - y)
