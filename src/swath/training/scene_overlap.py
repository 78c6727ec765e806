"""Warn of validation scenes that overlap training scenes on Earth, which flatters a model.

Neighboring pixels look alike, so a model must be validated on areas that it was not trained on
(spatial autocorrelation; Ploton et al. 2020, https://doi.org/10.1038/s41467-020-18321-y).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import shapely

from swath.errors import SceneError
from swath.labels.files import read_headers
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer

if TYPE_CHECKING:
    from swath.labels.collection import Collection

MAX_SCENES = 1000
"""Maximum number of scenes of each collection that are checked for overlap."""
_MIN_OVERLAP = 0.01
"""Minimum overlap to report, as a fraction of the validation scene's area."""


def describe_scene_overlap(train: Collection, val: Collection, bands: Sequence[str] = ()) -> str:
    """Return a sentence about scenes of both collections that overlap on Earth; empty if none do.

    Scenes without georeferencing are skipped.

    Args:
        train: Scenes to train on.
        val: Scenes to validate on.
        bands: Names of the model's bands, which scenes of several files need.
    """
    known = [*_footprints(train, bands)]
    tree = shapely.STRtree([outline for _, outline in known])
    worst, overlapping = (0.0, "", ""), 0
    for uri, outline in _footprints(val, bands):
        shares = [
            (shapely.area(outline & known[index][1]) / shapely.area(outline), known[index][0], uri)
            for index in tree.query(outline, predicate="intersects")
        ]
        most = max(shares, default=(0.0, "", ""))
        overlapping += most[0] >= _MIN_OVERLAP
        worst = max(worst, most)
    if not overlapping:
        return ""
    share, trained, validated = worst
    return (
        f"{overlapping} of {len(val.scenes)} validation scenes overlap training scenes; "
        f"{share:.0%} of {validated} is covered by {trained}. "
        "The metrics are therefore too high; hold out scenes of other areas"
    )


def _footprints(
    collection: Collection, bands: Sequence[str]
) -> Iterator[tuple[str, shapely.Geometry]]:
    """Yield the address and the footprint (lon, lat) of each georeferenced scene."""
    for labeled in islice(collection.scenes, MAX_SCENES):
        (info,) = read_headers([labeled.uri], bands)
        try:
            outline = footprint(info, Georeferencer.from_info(info))
        except SceneError:
            continue
        if not outline.is_empty:
            yield labeled.uri, shapely.make_valid(outline)
