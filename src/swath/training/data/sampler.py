"""Cut crops from random windows of whole scenes, reproducibly for each epoch and index."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import LabelsError
from swath.labels.files import read_headers
from swath.labels.objects import Objects
from swath.training.data.class_maps import UNKNOWN, Painter
from swath.training.data.crop import NOTHING, Crop
from swath.training.data.window_cache import Piece, Pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.raster.band_units import Units
    from swath.raster.scene_info import SceneInfo

_TRIES = 8
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


def generator(seed: int, epoch: int, index: int, *, stream: int = 0) -> np.random.Generator:
    """Return the random number generator of one crop.

    Args:
        seed: Seed of the training.
        epoch: Number of the epoch.
        index: Index of the crop in the epoch.
        stream: Number of the purpose; each purpose has independent random numbers.
    """
    return np.random.default_rng((seed, epoch, index, stream))


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    """Boxes to cut windows around, with their weights."""

    scene: NDArray[np.int64]
    """Index of each box's scene in the collection, (n,)."""
    boxes: NDArray[np.float64]
    """Boxes, (n, 4): x_min, y_min, x_max, y_max in scene px."""
    rising: NDArray[np.float64]
    """Cumulative sum of the weights, (n,)."""

    def draw(self, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
        """Return the scene's index and the box (4,) of a random target, drawn by weight."""
        which = np.searchsorted(self.rising, rng.random() * self.rising[-1], side="right")
        which = min(int(which), len(self.rising) - 1)
        return int(self.scene[which]), self.boxes[which]


class CropSampler:
    """Cuts crops of one size, for any number of threads and in any order.

    A crop depends only on the collection, the sampler's options, the seed, the epoch and the index.
    A training that resumes on another machine therefore gets the same crops.
    """

    def __init__(
        self,
        collection: Collection,
        bands: Sequence[str],
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
            collection: Labeled scenes.
            bands: Names of the bands, in the model's order.
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
        _check(collection, positives, weights)
        headers = read_headers([scene.uri for scene in collection.scenes])
        _check_sizes(collection, headers)
        paint = Painter(collection) if class_maps else None
        units = (None,) * len(bands) if units is None else units
        self._pieces = Pieces(headers, bands, units=units, limit=cache_bytes, paint=paint)
        self._scenes, self._bands = collection.scenes, len(bands)
        self._size, self._margin, self._seed = size, margin, seed
        self._positives, self._hard_share = positives, 0.0
        self._outlines, self._class_maps = outlines, class_maps
        self._objects = _objects(collection, weights)
        self._hard: _Targets | None = None
        self._areas = np.cumsum([scene.width * scene.height for scene in collection.scenes])

    def hardened(self, negatives: Sequence[HardNegative], share: float) -> CropSampler:
        """Return a sampler that also cuts crops around hard negatives, with the same cache.

        Args:
            negatives: Hard negatives; without any, the sampler cuts none around them.
            share: Fraction of the crops that are cut around hard negatives. It replaces crops at
                random windows first, and then crops around objects.
        """
        sampler = copy.copy(self)
        sampler._aim_at(negatives, share)  # noqa: SLF001 (of this class)
        return sampler

    def _aim_at(self, negatives: Sequence[HardNegative], share: float) -> None:
        places = {scene.uri: place for place, scene in enumerate(self._scenes)}
        self._hard_share = share if negatives else 0.0
        self._hard = None
        if negatives:
            self._hard = _Targets(
                np.array([places[negative.uri] for negative in negatives]),
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
        rng = generator(self._seed, epoch, index)
        kind = rng.random()
        if self._hard and kind < self._hard_share:
            return self.cut(*self._around(self._hard, rng))
        if self._objects and kind < self._hard_share + self._positives:
            return self.cut(*self._around(self._objects, rng))
        for _ in range(_TRIES):
            crop = self.cut(*self._anywhere(rng))
            if crop.valid.any():
                break
        return crop

    def cut(self, place: int, x: int, y: int) -> Crop:
        """Return the crop of a scene at a position, including the margin.

        The crop may extend beyond the scene's edges, where its pixels are 0 and not valid.

        Args:
            place: Index of the scene in the collection.
            x: Column of the upper left corner without the margin, in scene px.
            y: Row of the upper left corner without the margin, in scene px.
        """
        scene, margin = self._scenes[place], self._margin
        size = self._size + 2 * margin
        x, y = x - margin, y - margin
        room = self._room(size)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + size, scene.width), min(y + size, scene.height)
        if left < right and top < bottom:
            rows, cols = slice(top - y, bottom - y), slice(left - x, right - x)
            part = _part(room, rows, cols)
            self._pieces.read(place, (left, top, right - left, bottom - top), part)
        objects = Objects(
            boxes=scene.boxes, classes=scene.classes, crowd=scene.crowd, outlines=scene.outlines
        ).within((x, y, x + size, y + size))
        if not self._outlines:
            objects = objects.without_outlines()
        valid_bands = None if np.all(room.valid_bands == room.valid) else room.valid_bands
        valid, labels = _settled(room)
        return Crop(
            uri=scene.uri,
            x=x,
            y=y,
            pixels=room.pixels,
            valid=valid,
            objects=objects.moved(lambda points: points - (x, y)),
            labels=labels,
            valid_bands=valid_bands,
        )

    def _room(self, size: int) -> Piece:
        return Piece(
            np.zeros((self._bands, size, size), self._pieces.dtype),
            np.zeros((size, size), np.bool_),
            np.full((size, size), NOTHING, np.uint8) if self._class_maps else None,
            np.zeros((self._bands, size, size), np.bool_),
        )

    def _around(self, targets: _Targets, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return a random window that contains a target's box, or the center of a larger box.

        The result is the scene's index, and x and y of the window's upper left corner in px.
        """
        place, (x_min, y_min, x_max, y_max) = targets.draw(rng)
        scene = self._scenes[place]
        x = _start((x_min, x_max), self._size, scene.width, rng)
        y = _start((y_min, y_max), self._size, scene.height, rng)
        return place, x, y

    def _anywhere(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return a random window of any scene, with a probability proportional to its area.

        The result is the scene's index, and x and y of the window's upper left corner in px.
        """
        which = np.searchsorted(self._areas, rng.random() * self._areas[-1], side="right")
        place = min(int(which), len(self._areas) - 1)
        scene = self._scenes[place]
        x, y = (
            int(rng.integers(min(0, room), max(0, room), endpoint=True))
            for room in (scene.width - self._size, scene.height - self._size)
        )
        return place, x, y


def _check(collection: Collection, positives: float, weights: Sequence[float] | None) -> None:
    if not collection.scenes:
        raise LabelsError("the collection has no scenes to cut crops from")
    if positives and not any((~scene.crowd).any() for scene in collection.scenes):
        raise LabelsError(
            f"{positives:g} of the crops are to be cut around objects, and the collection of "
            f"{len(collection.scenes)} scenes has none; check its labels, or set positives to 0"
        )
    if weights is not None and len(weights) != len(collection.classes):
        raise LabelsError(
            f"there are {len(weights)} weights and {len(collection.classes)} classes; "
            "give one weight a class"
        )


def _check_sizes(collection: Collection, headers: Sequence[SceneInfo]) -> None:
    for scene, header in zip(collection.scenes, headers, strict=True):
        if (scene.width, scene.height) != (header.width, header.height):
            raise LabelsError(
                f"{scene.uri} had {scene.width} x {scene.height} px when its labels were read, and "
                f"has {header.width} x {header.height} now; give the scene that was labelled"
            )


def _objects(collection: Collection, weights: Sequence[float] | None) -> _Targets | None:
    scenes = collection.scenes
    kept = np.concatenate([~scene.crowd for scene in scenes])
    if not kept.any():
        return None
    counts = [len(scene.boxes) for scene in scenes]
    classes = np.concatenate([scene.classes for scene in scenes])[kept]
    each = np.ones(len(classes)) if weights is None else np.asarray(weights, np.float64)[classes]
    return _Targets(
        np.repeat(np.arange(len(scenes)), counts)[kept],
        np.concatenate([scene.boxes for scene in scenes])[kept],
        np.cumsum(each),
    )


def _start(span: tuple[float, float], size: int, length: int, rng: np.random.Generator) -> int:
    """Return a random start of a window along one axis of a scene, so that it contains a span.

    Args:
        span: Start and end of the span in px.
        size: Length of the window in px.
        length: Length of the scene in px.
        rng: Random number generator.
    """
    low, high = span
    if high - low > size:
        low = high = (low + high) / 2
    first = math.ceil(high - size)
    last = max(first, math.floor(low))
    least, most = sorted((0, length - size))
    first, last = min(max(first, least), most), min(max(last, least), most)
    return int(rng.integers(first, last, endpoint=True))


def _part(room: Piece, rows: slice, cols: slice) -> Piece:
    """Return a window of a piece, as views of its arrays."""
    return Piece(
        room.pixels[:, rows, cols],
        None if room.valid is None else room.valid[rows, cols],
        None if room.labels is None else room.labels[rows, cols],
        None if room.valid_bands is None else room.valid_bands[:, rows, cols],
    )


def _settled(room: Piece) -> tuple[NDArray[np.bool_], NDArray[np.uint8] | None]:
    """Return the mask of valid pixels and the class map; pixels of unknown class are not valid."""
    valid, labels = room.valid, room.labels
    if valid is None:
        valid = np.ones(room.pixels.shape[1:], np.bool_)
    if labels is not None:
        unknown = labels == UNKNOWN
        valid &= ~unknown
        labels[unknown | ~valid] = NOTHING
    return valid, labels
