"""Compute the statistics of scenes' bands that a model package holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from swath.errors import SceneError
from swath.items import SceneSources
from swath.items.scene_arguments import parse_scene
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.band_units import Units
from swath.raster.radiometry.comparison import MAX_PROFILES, MIN_SAMPLES, TrainingStatistics
from swath.raster.radiometry.profile import Profile, compute_profile
from swath.raster.radiometry.sampling import SampleGrid, Samples
from swath.raster.radiometry.units import conversion
from swath.raster.reader import read_tiles
from swath.raster.tiles import Grid

_TILE_SIZE = 512
"""Tile size in px in which scenes are read."""

_logger = logging.getLogger(__name__)


def compute_statistics(
    uris: Sequence[str], needs: BandNeeds, units: Units
) -> TrainingStatistics | None:
    """Return the statistics of scenes' bands, as a model package holds them.

    At most `MAX_PROFILES` scenes are read; of a longer list, evenly spaced ones.

    Args:
        uris: Addresses of the scenes.
        needs: Requirements of the model for the bands.
        units: Units of the model's bands.

    Returns:
        Statistics of the bands; None if no scene has enough valid pixels.

    Raises:
        SceneError: A scene cannot be read, or lacks a band.
    """
    indices = np.linspace(0, len(uris) - 1, min(len(uris), MAX_PROFILES)).round().astype(int)
    profiles = [profile_scene(uris[index], needs, units) for index in indices]
    known = [profile for profile in profiles if profile]
    if len(known) < len(profiles):
        _logger.info(
            "%d of %d scenes are too small for statistics of their bands",
            len(profiles) - len(known),
            len(profiles),
        )
    return TrainingStatistics.from_profiles(known) if known else None


def profile_scene(uri: str, needs: BandNeeds, units: Units) -> Profile | None:
    """Return the profile of a scene; None if too few of its pixels are valid.

    Args:
        uri: Address of the scene.
        needs: Requirements of the model for the bands.
        units: Units of the model's bands.

    Raises:
        SceneError: The scene cannot be read, or lacks a band.
    """
    with open_model_scene(parse_scene(uri, SceneSources()), needs) as opened:
        scene, numbers = opened.scene, opened.bands
        info = scene.info
        convert = conversion(info, numbers, needs.names, units)
        grid, sample_grid = (
            Grid(info.width, info.height, _TILE_SIZE, 0),
            SampleGrid.for_scene(info.width, info.height),
        )
        parts = []
        for read in read_tiles(scene, grid, numbers, range(grid.count)):
            if read.pixels is None:
                raise SceneError(f"{uri}: {read.error}") from read.error
            tile = read.tile
            origin = (tile.x, tile.y)
            parts.append(
                sample_grid.sample(read.pixels, read.input_mask, origin, tile.core, convert)
            )
    samples = Samples.concatenate(parts, len(needs.names))
    return compute_profile(samples) if len(samples.complete()) >= MIN_SAMPLES else None
