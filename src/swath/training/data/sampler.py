"""Cut crops from random windows of whole scenes, reproducibly for each epoch and index."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import LabelsError
from swath.labels.objects import Objects
from swath.training.data.class_maps import UNKNOWN_CLASS, ClassMapRasterizer
from swath.training.data.crop import NO_CLASS, Crop
from swath.training.data.model_scenes import read_model_scenes
from swath.training.data.window_cache import PixelLayers, WindowCache

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.raster.assets.stack import BandNeeds
    from swath.raster.band_units import Units
    from swath.training.data.model_scenes import ModelScene

_MAX_WINDOW_DRAWS = 8
"""Maximum number of windows to draw in search of one with a valid pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardNegative:
    """A confident detection where there is no object."""

    uri: str
    """Address of the scene, as in the collection."""
    box: tuple[float, float, float, float]
    """Box of the detection: x_min, y_min, x_max, y_max in scene px."""
    weight: float = 1.0
    """Relative frequency of crops around this hard negative."""


def crop_rng(seed: int, epoch: int, index: int, *, stream: int = 0) -> np.random.Generator:
    """Return the random number generator of one crop.

    Args:
        seed: Seed of the training.
        epoch: Number of the epoch.
        index: Index of the crop in the epoch.
        stream: Number of the purpose; each purpose has independent random numbers.
    """
    return np.random.default_rng((seed, epoch, index, stream))


@dataclass(frozen=True, slots=True, eq=False)
class _TargetBoxes:
    """Boxes to cut windows around, with their weights."""

    scene: NDArray[np.int64]
    """Index of each box's scene in the collection, (n,)."""
    boxes: NDArray[np.float64]
    """Boxes, (n, 4): x_min, y_min, x_max, y_max in scene px."""
    cumulative_weights: NDArray[np.float64]
    """Cumulative sum of the weights, (n,)."""

    def draw(self, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
        """Return the scene's index and the box (4,) of a random target, drawn by weight."""
        index = np.searchsorted(
            self.cumulative_weights, rng.random() * self.cumulative_weights[-1], side="right"
        )
        index = min(int(index), len(self.cumulative_weights) - 1)
        return int(self.scene[index]), self.boxes[index]


class CropSampler:
    """Cuts crops of one size, for any number of threads and in any order.

    A crop depends only on the collection, the sampler's options, the seed, the epoch and the index.
    A training that resumes on another machine therefore gets the same crops.
    """

    def __init__(
        self,
        collection: Collection,
        needs: BandNeeds,
        size: int,
        *,
        seed: int,
        units: Units | None = None,
        positives: float = 0.5,
        weights: Sequence[float] | None = None,
        margin: int = 0,
        class_maps: bool = False,
        outlines: bool = False,
        cache_bytes: int = 1 << 30,
    ) -> None:
        """Read the scenes' headers.

        Args:
            collection: Labeled scenes, in px of the model's grid.
            needs: Requirements of the model for the bands.
            size: Side of a crop in px, without the margin.
            seed: Seed of the random windows.
            units: Unit of each band's pixels in crops; by default, each scene's own units.
            positives: Fraction of the crops that are cut around an object, which may be anywhere
                in the crop. The others are cut at random and may also contain objects.
            weights: Relative frequency of crops around the objects of each class; by default, all
                objects are equally frequent.
            margin: Extra px on each side, into which augmentation zooms out. The object that a crop
                is cut around does not lie in the margin.
            class_maps: Whether crops have class maps.
            outlines: Whether crops have outlines, if the labels do.
            cache_bytes: Size of the cache of decoded pixels in bytes. Scenes of at most 64 MiB,
                and of at most a quarter of the cache, are decoded whole.

        Raises:
            LabelsError: The collection has no scenes, no objects to cut around, or no outlines to
                rasterize, or a scene's size differs from the labels'.
            SceneError: A scene cannot be read or lacks a band.
        """
        _check_labels(collection, positives, weights)
        scenes = read_model_scenes([scene.uri for scene in collection.scenes], needs)
        _check_sizes(collection, scenes)
        rasterize = ClassMapRasterizer(collection) if class_maps else None
        units = (None,) * len(needs.names) if units is None else units
        self._cache = WindowCache(scenes, units=units, max_bytes=cache_bytes, rasterize=rasterize)
        self._scenes, self._bands = collection.scenes, len(needs.names)
        self._size, self._margin, self._seed = size, margin, seed
        self._positives, self._hard_fraction = positives, 0.0
        self._outlines, self._class_maps = outlines, class_maps
        self._object_boxes = _object_boxes(collection, weights)
        self._hard_negatives: _TargetBoxes | None = None
        self._areas = np.cumsum([scene.width * scene.height for scene in collection.scenes])

    def with_hard_negatives(
        self, negatives: Sequence[HardNegative], fraction: float
    ) -> CropSampler:
        """Return a sampler that also cuts crops around hard negatives, with the same cache.

        Args:
            negatives: Hard negatives; without any, the sampler cuts none around them.
            fraction: Fraction of the crops that are cut around hard negatives. It replaces crops at
                random windows first, and then crops around objects.
        """
        sampler = copy.copy(self)
        sampler._set_hard_negatives(negatives, fraction)  # noqa: SLF001 (of this class)
        return sampler

    def _set_hard_negatives(self, negatives: Sequence[HardNegative], fraction: float) -> None:
        indices = {scene.uri: index for index, scene in enumerate(self._scenes)}
        self._hard_fraction = fraction if negatives else 0.0
        self._hard_negatives = None
        if negatives:
            self._hard_negatives = _TargetBoxes(
                np.array([indices[negative.uri] for negative in negatives]),
                np.array([negative.box for negative in negatives], np.float64),
                np.cumsum([negative.weight for negative in negatives]),
            )

    def crop(self, epoch: int, index: int) -> Crop:
        """Return a crop, including the margin.

        Args:
            epoch: Number of the epoch.
            index: Index of the crop in the epoch.

        Raises:
            SceneError: The scene is damaged in the crop.
            TransientError: S3 did not answer.
        """
        rng = crop_rng(self._seed, epoch, index)
        draw = rng.random()
        if self._hard_negatives and draw < self._hard_fraction:
            return self.crop_at(*self._window_around(self._hard_negatives, rng))
        if self._object_boxes and draw < self._hard_fraction + self._positives:
            return self.crop_at(*self._window_around(self._object_boxes, rng))
        for _ in range(_MAX_WINDOW_DRAWS):
            crop = self.crop_at(*self._random_window(rng))
            if crop.valid.any():
                break
        return crop

    def crop_at(self, scene_index: int, x: int, y: int) -> Crop:
        """Return the crop of a scene at a position, including the margin.

        The crop may extend beyond the scene's edges, where its pixels are 0 and not valid.

        Args:
            scene_index: Index of the scene in the collection.
            x: Column of the upper left corner without the margin, in scene px.
            y: Row of the upper left corner without the margin, in scene px.
        """
        scene, margin = self._scenes[scene_index], self._margin
        size = self._size + 2 * margin
        x, y = x - margin, y - margin
        layers = self._empty_layers(size)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + size, scene.width), min(y + size, scene.height)
        if left < right and top < bottom:
            rows, cols = slice(top - y, bottom - y), slice(left - x, right - x)
            window = _layers_window(layers, rows, cols)
            self._cache.read(scene_index, (left, top, right - left, bottom - top), window)
        objects = Objects(
            boxes=scene.boxes, classes=scene.classes, crowd=scene.crowd, outlines=scene.outlines
        ).clip((x, y, x + size, y + size))
        if not self._outlines:
            objects = objects.without_outlines()
        valid_bands = None if np.all(layers.valid_bands == layers.valid) else layers.valid_bands
        valid, labels = _mask_unknown(layers)
        return Crop(
            uri=scene.uri,
            x=x,
            y=y,
            pixels=layers.pixels,
            valid=valid,
            objects=objects.transform(lambda points: points - (x, y)),
            labels=labels,
            valid_bands=valid_bands,
        )

    def _empty_layers(self, size: int) -> PixelLayers:
        return PixelLayers(
            np.zeros((self._bands, size, size), self._cache.dtype),
            np.zeros((size, size), np.bool_),
            np.full((size, size), NO_CLASS, np.uint8) if self._class_maps else None,
            np.zeros((self._bands, size, size), np.bool_),
        )

    def _window_around(
        self, targets: _TargetBoxes, rng: np.random.Generator
    ) -> tuple[int, int, int]:
        """Return a random window that contains a target's box, or the center of a larger box.

        The result is the scene's index, and x and y of the window's upper left corner in px.
        """
        scene_index, (x_min, y_min, x_max, y_max) = targets.draw(rng)
        scene = self._scenes[scene_index]
        x = _random_start((x_min, x_max), self._size, scene.width, rng)
        y = _random_start((y_min, y_max), self._size, scene.height, rng)
        return scene_index, x, y

    def _random_window(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return a random window of any scene, with a probability proportional to its area.

        The result is the scene's index, and x and y of the window's upper left corner in px.
        """
        index = np.searchsorted(self._areas, rng.random() * self._areas[-1], side="right")
        scene_index = min(int(index), len(self._areas) - 1)
        scene = self._scenes[scene_index]
        x, y = (
            int(rng.integers(min(0, last), max(0, last), endpoint=True))
            for last in (scene.width - self._size, scene.height - self._size)
        )
        return scene_index, x, y


def _check_labels(
    collection: Collection, positives: float, weights: Sequence[float] | None
) -> None:
    if not collection.scenes:
        raise LabelsError("the collection has no scenes to cut crops from")
    if positives and not any((~scene.crowd).any() for scene in collection.scenes):
        raise LabelsError(
            f"positives is {positives:g}, but the {len(collection.scenes)} scenes of the "
            "collection have no labeled objects; check the labels, or set positives to 0"
        )
    if weights is not None and len(weights) != len(collection.classes):
        raise LabelsError(
            f"there are {len(weights)} weights and {len(collection.classes)} classes; "
            "give one weight for each class"
        )


def _check_sizes(collection: Collection, scenes: Sequence[ModelScene]) -> None:
    for scene, header in zip(collection.scenes, (known.info for known in scenes), strict=True):
        if (scene.width, scene.height) != (header.width, header.height):
            raise LabelsError(
                f"{scene.uri} had {scene.width} x {scene.height} px when its labels were read, and "
                f"has {header.width} x {header.height} px now; give the labeled scene"
            )


def _object_boxes(collection: Collection, weights: Sequence[float] | None) -> _TargetBoxes | None:
    scenes = collection.scenes
    is_target = np.concatenate([~scene.crowd for scene in scenes])
    if not is_target.any():
        return None
    counts = [len(scene.boxes) for scene in scenes]
    classes = np.concatenate([scene.classes for scene in scenes])[is_target]
    object_weights = (
        np.ones(len(classes)) if weights is None else np.asarray(weights, np.float64)[classes]
    )
    return _TargetBoxes(
        np.repeat(np.arange(len(scenes)), counts)[is_target],
        np.concatenate([scene.boxes for scene in scenes])[is_target],
        np.cumsum(object_weights),
    )


def _random_start(
    span: tuple[float, float], size: int, length: int, rng: np.random.Generator
) -> int:
    """Return a random start of a window along one axis of a scene, so that it contains a span.

    Args:
        span: Start and end of the span in px.
        size: Length of the window in px.
        length: Length of the scene in px.
        rng: Random number crop_rng.
    """
    low, high = span
    if high - low > size:
        low = high = (low + high) / 2
    first = math.ceil(high - size)
    last = max(first, math.floor(low))
    lowest, highest = sorted((0, length - size))
    first, last = min(max(first, lowest), highest), min(max(last, lowest), highest)
    return int(rng.integers(first, last, endpoint=True))


def _layers_window(layers: PixelLayers, rows: slice, cols: slice) -> PixelLayers:
    """Return a window of pixel layers, as views of the arrays."""
    return PixelLayers(
        layers.pixels[:, rows, cols],
        None if layers.valid is None else layers.valid[rows, cols],
        None if layers.labels is None else layers.labels[rows, cols],
        None if layers.valid_bands is None else layers.valid_bands[:, rows, cols],
    )


def _mask_unknown(layers: PixelLayers) -> tuple[NDArray[np.bool_], NDArray[np.uint8] | None]:
    """Return the mask of valid pixels and the class map; pixels of unknown class are not valid."""
    valid, labels = layers.valid, layers.labels
    if valid is None:
        valid = np.ones(layers.pixels.shape[1:], np.bool_)
    if labels is not None:
        is_unknown = labels == UNKNOWN_CLASS
        valid &= ~is_unknown
        labels[is_unknown | ~valid] = NO_CLASS
    return valid, labels
