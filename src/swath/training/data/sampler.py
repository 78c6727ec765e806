"""Crops at random windows of whole scenes: the same ones wherever and whenever they are cut."""

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
"""Windows drawn before one without a valid pixel is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardNegative:
    """A place where a model was sure of an object, and there is none."""

    uri: str
    """Of the scene, as the collection says it."""
    box: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max; scene px."""
    weight: float = 1.0
    """How often windows are cut there, beside the other places."""


def generator(seed: int, epoch: int, index: int, *, stream: int = 0) -> np.random.Generator:
    """The random numbers of one crop: those of another purpose (`stream`) are others."""
    return np.random.default_rng((seed, epoch, index, stream))


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    """Boxes to cut windows around, and how often each is."""

    scene: NDArray[np.int64]
    boxes: NDArray[np.float64]
    rising: NDArray[np.float64]
    """The sum of the weights up to each."""

    def draw(self, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
        """The scene and the box of one of them."""
        which = np.searchsorted(self.rising, rng.random() * self.rising[-1], side="right")
        which = min(int(which), len(self.rising) - 1)
        return int(self.scene[which]), self.boxes[which]


class CropSampler:
    """Cuts crops of one size; any number of threads may ask, in any order.

    What `crop` gives depends on the collection, these options and the three numbers alone, so a
    training that goes on elsewhere sees what it would have seen.
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
            collection: the labelled scenes.
            bands: names of the bands, in the model's order.
            size: px along each side.
            seed: another one gives other crops.
            units: those that crops are given in, one a band; by default, each scene's own.
            positives: share of the crops that are cut around an object, anywhere in the crop. The
                others lie anywhere, and may show objects, too.
            weights: how often each class's objects are cut around; by default all alike.
            margin: px more on each side, for augmentation to zoom out into. The object that a crop
                is cut around does not lie there.
            class_maps: whether to paint each pixel's class.
            outlines: whether crops have outlines, where the labels do.
            cache_bytes: of decoded pixels to keep. Scenes of 64 MiB or less are decoded whole.

        Raises:
            LabelsError: the collection has no scenes, no objects to cut around, or no outlines to
                paint, or a scene has another size than it says.
            SceneError: a scene cannot be read or lacks a band.
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
        """A sampler that also cuts around hard negatives; it shares what is decoded.

        Args:
            negatives: the places; without any, nothing changes.
            share: of the crops. It comes off those that lie anywhere, then off the positives.
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
        """One crop.

        Raises:
            SceneError: the scene is damaged there.
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
        """The crop of a scene, by its place in the collection, whose upper left corner is given.

        It may hang over the scene's edges: pixels are 0 there and not valid. With a margin, the
        corner is that of the crop without it.
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
        """A window that shows a box whole, or its centre if it is larger."""
        place, (x_min, y_min, x_max, y_max) = targets.draw(rng)
        scene = self._scenes[place]
        x = _start((x_min, x_max), self._size, scene.width, rng)
        y = _start((y_min, y_max), self._size, scene.height, rng)
        return place, x, y

    def _anywhere(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Any window of any scene, each scene as often as it is large."""
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
    """Where a window begins along one axis of a scene so as to show a span of it."""
    low, high = span
    if high - low > size:
        low = high = (low + high) / 2
    first = math.ceil(high - size)
    last = max(first, math.floor(low))
    least, most = sorted((0, length - size))
    first, last = min(max(first, least), most), min(max(last, least), most)
    return int(rng.integers(first, last, endpoint=True))


def _part(room: Piece, rows: slice, cols: slice) -> Piece:
    """A window of a piece, as views."""
    return Piece(
        room.pixels[:, rows, cols],
        None if room.valid is None else room.valid[rows, cols],
        None if room.labels is None else room.labels[rows, cols],
        None if room.valid_bands is None else room.valid_bands[:, rows, cols],
    )


def _settled(room: Piece) -> tuple[NDArray[np.bool_], NDArray[np.uint8] | None]:
    """What is valid, and the class map; a pixel of unknown class is not valid."""
    valid, labels = room.valid, room.labels
    if valid is None:
        valid = np.ones(room.pixels.shape[1:], np.bool_)
    if labels is not None:
        unknown = labels == UNKNOWN
        valid &= ~unknown
        labels[unknown | ~valid] = NOTHING
    return valid, labels
