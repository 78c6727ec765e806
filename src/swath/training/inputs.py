"""Prepare the inputs of a training: bands, units, scaling, crops and class weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import InputError
from swath.labels.files import read_headers
from swath.models.scaling import MinMax, Scaling, ZScore
from swath.packaging.statistics import parse_units
from swath.raster.radiometry.scenes import compute_statistics
from swath.resource_limits import available_cpus
from swath.training.data.augment import augment
from swath.training.data.model_scenes import ModelScene, read_model_scenes, to_model_grid
from swath.training.data.sampler import CropSampler, HardNegative, crop_rng
from swath.training.data.statistics import BandStatistics, compute_band_statistics
from swath.training.loader import BatchLoader

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.raster.assets.stack import BandNeeds
    from swath.raster.band_units import Units
    from swath.raster.radiometry.comparison import TrainingStatistics
    from swath.training.data.crop import Crop
    from swath.training.options import TrainOptions

_AUGMENT_STREAM = 1
"""Stream of the random numbers that augment crops; stream 0 positions them."""
_LOW_PERCENTILE, _HIGH_PERCENTILE = 1, 99
"""Percentiles that min-max scaling maps to 0 and 1; glints and dead pixels lie beyond them."""


@dataclass(frozen=True, slots=True)
class TrainInputs:
    """TrainInputs of one training."""

    collection: Collection
    """Labeled scenes to train on, in px of the model's grid."""
    options: TrainOptions
    statistics: Sequence[BandStatistics]
    """Statistics of each band, in the model's order and in `units`."""
    units: Units
    """Unit of the network's input values, one per band."""
    expected: TrainingStatistics | None
    """Expected radiometry of the bands, which goes into the package."""

    @classmethod
    def from_collection(cls, collection: Collection, options: TrainOptions) -> TrainInputs:
        """Create the inputs of a training, which reads each pixel of the collection once.

        Args:
            collection: Labeled scenes to train on, in px of their own.
            options: Training options.

        Raises:
            InputError: The scenes cannot be read, lack a band or have no valid pixel.
        """
        needs = options.band_needs(options.bands or default_bands(collection))
        uris = [scene.uri for scene in collection.scenes]
        scenes = read_model_scenes(uris, needs)
        on_grid = to_model_grid(collection, scenes)
        units = training_units(scenes, options)
        statistics = compute_band_statistics(on_grid, needs, units=units)
        return cls(on_grid, options, statistics, units, compute_statistics(uris, needs, units))

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the model's order."""
        return tuple(band.name for band in self.statistics)

    @property
    def needs(self) -> BandNeeds:
        """Requirements of the model to be for the bands of scenes."""
        return self.options.band_needs(self.bands)

    def to_grid(self, collection: Collection) -> Collection:
        """Return other labeled scenes, in px of the model's grid.

        Raises:
            SceneError: A scene cannot be read, lacks a band or cannot be put on the grid.
            LabelsError: A scene's size differs from the size that its labels state.
        """
        uris = [scene.uri for scene in collection.scenes]
        return to_model_grid(collection, read_model_scenes(uris, self.needs))

    @property
    def scaling(self) -> tuple[Scaling, ...]:
        """Scaling of each band."""
        return tuple(_band_scaling(band, self.options.scaling) for band in self.statistics)

    def class_weights(self) -> list[float] | None:
        """Return the weight of each class; None where all classes weigh the same.

        Raises:
            InputError: The number of weights differs from the number of classes.
        """
        weights, classes = self.options.class_weights, self.collection.classes
        if weights == "none":
            return None
        if weights == "balanced":
            return balanced_weights(self.collection)
        if len(weights) != len(classes):
            raise InputError(
                f"class_weights has {len(weights)} numbers and there are {len(classes)} classes "
                f"({', '.join(classes)}); give one number for each class, `none` or `balanced`"
            )
        return [float(weight) for weight in weights]

    def batch_loader(
        self, sampler: CropSampler, negatives: Sequence[HardNegative], *, pinned: bool
    ) -> BatchLoader:
        """Return a loader of batches of augmented crops.

        Args:
            sampler: Sampler that cuts the crops.
            negatives: Hard negatives to cut some of the crops around.
            pinned: Whether the batches are in pinned memory, from which copies to a GPU are faster.
        """
        options = self.options
        sampler = sampler.with_hard_negatives(negatives, options.hard_negatives)
        stddevs = [band.stddev for band in self.statistics]

        def get_crop(epoch: int, index: int) -> Crop:
            return augment(
                sampler.crop(epoch, index),
                options.augment,
                crop_rng(options.seed, epoch, index, stream=_AUGMENT_STREAM),
                size=options.crop_side,
                stddevs=stddevs,
            )

        return BatchLoader(
            get_crop=get_crop,
            scaling=self.scaling,
            fill_value=options.fill_value,
            crops_per_epoch=options.crops,
            batch_size=options.batch_size,
            workers=options.workers or available_cpus(),
            pinned=pinned,
        )

    def sampler(self, *, class_maps: bool) -> CropSampler:
        """Return a sampler that cuts crops out of the scenes.

        Args:
            class_maps: Whether crops have class maps, as segmenters need them.

        Raises:
            InputError: There are no objects to cut around, or no outlines to rasterize.
        """
        options = self.options
        return CropSampler(
            self.collection,
            self.needs,
            options.crop_side,
            seed=options.seed,
            units=self.units,
            positives=options.positives,
            margin=options.augment.margin(options.crop_side),
            class_maps=class_maps,
        )


def default_bands(collection: Collection) -> tuple[str, ...]:
    """Return the names of all bands of the first scene, without alpha.

    The names are the bands' descriptions, or else their colors, or else `band_1` and so on.

    Raises:
        InputError: The collection has no scenes.
    """
    if not collection.scenes:
        raise InputError("the collection has no scenes to train on")
    (scene,) = read_headers([collection.scenes[0].uri])
    for names in (scene.band_names, scene.colors):
        known = [name for name in names if name and name != "alpha"]
        if known and len(set(known)) == len([color for color in scene.colors if color != "alpha"]):
            return tuple(known)
    count = sum(color != "alpha" for color in scene.colors)
    return tuple(f"band_{number}" for number in range(1, count + 1))


def training_units(scenes: Sequence[ModelScene], options: TrainOptions) -> Units:
    """Return the unit of each band of a network's input: the options' units, or the scenes'.

    Without units in the options, a band has the unit of the first scene that states one. Scenes
    with another unit are converted to it. Scenes without a stated unit are taken to have it.

    Raises:
        InputError: The options have an invalid unit, or another number of units than bands.
    """
    if options.units:
        return parse_units(options.units, len(scenes[0].bands))
    stated = [[scene.info.units[number - 1] for number in scene.bands] for scene in scenes]
    return tuple(next(filter(None, units), None) for units in zip(*stated, strict=True))


def balanced_weights(collection: Collection) -> list[float]:
    """Return class weights that are proportional to the inverse root of each class's frequency.

    Their mean over the objects is 1, and a class without objects has the weight 1. Without the
    root, a class that is a hundred times as rare would dominate the others.
    """
    counts = np.zeros(len(collection.classes))
    for scene in collection.scenes:
        counts += np.bincount(scene.classes[~scene.crowd], minlength=len(counts))
    has_objects = counts > 0
    weights = np.ones(len(counts))
    weights[has_objects] = 1 / np.sqrt(counts[has_objects])
    weights[has_objects] *= counts[has_objects].sum() / (weights * counts)[has_objects].sum()
    return [float(weight) for weight in weights]


def _band_scaling(band: BandStatistics, kind: str) -> Scaling:
    """Return the scaling of a band; for a constant band, it only subtracts the constant."""
    if kind == "min-max":
        low, high = band.percentiles[_LOW_PERCENTILE], band.percentiles[_HIGH_PERCENTILE]
        return MinMax(low, high if high > low else low + 1)
    return ZScore(band.mean, band.stddev or 1.0)
