"""What a network is shown: which bands, scaled how, cut where, and how much each class counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.cpus import available_cpus
from swath.errors import InputError
from swath.labels.files import read_headers
from swath.models.scaling import MinMax, Scaling, ZScore
from swath.packaging.statistics import parse_units
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.scenes import expect
from swath.training.data.augment import augment
from swath.training.data.sampler import CropSampler, HardNegative, generator
from swath.training.data.statistics import BandStatistics, band_statistics
from swath.training.loader import Feed

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.raster.band_units import Units
    from swath.raster.radiometry.comparison import Expected
    from swath.raster.scene_info import SceneInfo
    from swath.training.data.crop import Crop
    from swath.training.options import TrainOptions

_OF_AUGMENTATION = 1
"""The stream of random numbers that changes crops; that of 0 places them."""
_LOW, _HIGH = 1, 99
"""Percentiles that min-max scaling goes between: beyond them lie glints and dead pixels."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of one training."""

    collection: Collection
    options: TrainOptions
    statistics: Sequence[BandStatistics]
    units: Units
    """One a band: of the network's numbers."""
    expected: Expected | None
    """What the bands of the scenes are like, for the package."""

    @classmethod
    def of(cls, collection: Collection, options: TrainOptions) -> Inputs:
        """Look at all pixels of a collection once.

        Raises:
            InputError: the scenes cannot be read, lack a band or have no valid pixel.
        """
        bands = options.bands or default_bands(collection)
        uris = [scene.uri for scene in collection.scenes]
        units = training_units(read_headers(uris), bands, options)
        statistics = band_statistics(collection, bands, units=units)
        return cls(collection, options, statistics, units, expect(uris, bands, units))

    @property
    def bands(self) -> tuple[str, ...]:
        """Their names, in the model's order."""
        return tuple(band.name for band in self.statistics)

    @property
    def scaling(self) -> tuple[Scaling, ...]:
        """Of each band."""
        return tuple(_scaling(band, self.options.scaling) for band in self.statistics)

    def class_weights(self) -> list[float] | None:
        """How much each class counts; None: all alike.

        Raises:
            InputError: there are not as many weights as classes.
        """
        chosen, classes = self.options.class_weights, self.collection.classes
        if chosen == "none":
            return None
        if chosen == "balanced":
            return balanced_weights(self.collection)
        if len(chosen) != len(classes):
            raise InputError(
                f"class_weights has {len(chosen)} numbers and there are {len(classes)} classes "
                f"({', '.join(classes)}); give one for each, none or balanced"
            )
        return [float(weight) for weight in chosen]

    def feed(
        self, sampler: CropSampler, negatives: Sequence[HardNegative], *, pinned: bool
    ) -> Feed:
        """Batches of changed crops."""
        options = self.options
        hardened = sampler.hardened(negatives, options.hard_negatives)
        spread = [band.stddev for band in self.statistics]

        def crop(epoch: int, index: int) -> Crop:
            return augment(
                hardened.crop(epoch, index),
                options.augment,
                generator(options.seed, epoch, index, stream=_OF_AUGMENTATION),
                size=options.crop_side,
                spread=spread,
            )

        return Feed(
            crop=crop,
            scaling=self.scaling,
            fill_value=options.fill_value,
            crops=options.crops,
            batch_size=options.batch_size,
            workers=options.workers or available_cpus(),
            pinned=pinned,
        )

    def sampler(self, *, class_maps: bool) -> CropSampler:
        """What cuts crops out of the scenes.

        Raises:
            InputError: there is nothing to cut around, or to paint class maps from.
        """
        options = self.options
        return CropSampler(
            self.collection,
            self.bands,
            options.crop_side,
            seed=options.seed,
            units=self.units,
            positives=options.positives,
            margin=options.augment.margin(options.crop_side),
            class_maps=class_maps,
        )


def default_bands(collection: Collection) -> tuple[str, ...]:
    """All bands of the first scene: by their descriptions, their colours, or counted from 1.

    Raises:
        InputError: the collection has no scenes.
    """
    if not collection.scenes:
        raise InputError("the collection has no scenes to train on")
    (scene,) = read_headers([collection.scenes[0].uri])
    for names in (scene.band_names, scene.colours):
        known = [name for name in names if name and name != "alpha"]
        if known and len(set(known)) == len(
            [colour for colour in scene.colours if colour != "alpha"]
        ):
            return tuple(known)
    count = sum(colour != "alpha" for colour in scene.colours)
    return tuple(f"band_{number}" for number in range(1, count + 1))


def training_units(
    headers: Sequence[SceneInfo], bands: Sequence[str], options: TrainOptions
) -> Units:
    """Return the units of a network's numbers: those of the options, or else of the scenes.

    A scene that states nothing is taken to be in them; of those that state different ones, the
    first counts, and the others are converted.

    Raises:
        InputError: the options state no possible unit, or not one for each band.
        SceneError: a scene lacks a band.
    """
    if options.units:
        return parse_units(options.units, len(bands))
    stated = [
        [header.units[number - 1] for number in select_bands(header, bands)] for header in headers
    ]
    return tuple(next(filter(None, units), None) for units in zip(*stated, strict=True))


def balanced_weights(collection: Collection) -> list[float]:
    """The root of how rare each class is, 1 on average over the objects; 1 where there are none.

    The root, since a class that is a hundred times as rare would else drown the others.
    """
    counts = np.zeros(len(collection.classes))
    for scene in collection.scenes:
        counts += np.bincount(scene.classes[~scene.crowd], minlength=len(counts))
    known = counts > 0
    weights = np.ones(len(counts))
    weights[known] = 1 / np.sqrt(counts[known])
    weights[known] *= counts[known].sum() / (weights * counts)[known].sum()
    return [float(weight) for weight in weights]


def _scaling(band: BandStatistics, kind: str) -> Scaling:
    """Of a band that has one value throughout, the scaling leaves the distance to it."""
    if kind == "min-max":
        low, high = band.percentiles[_LOW], band.percentiles[_HIGH]
        return MinMax(low, high if high > low else low + 1)
    return ZScore(band.mean, band.stddev or 1.0)
