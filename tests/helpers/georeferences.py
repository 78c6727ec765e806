"""An assertion that two headers map the same pixels to the same coordinates."""

import numpy as np
import shapely

from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer


def assert_same_georeference(found, expected):
    """Fail unless boxes, the outline of all, and the header itself are the same to the last bit."""
    assert (found.uri, found.width, found.height) == (expected.uri, expected.width, expected.height)
    assert (found.crs, found.transform) == (expected.crs, expected.transform)
    assert [_values(gcp) for gcp in found.gcps] == [_values(gcp) for gcp in expected.gcps]
    first, second = Georeferencer.from_info(found), Georeferencer.from_info(expected)
    rng = np.random.default_rng(7)
    low = rng.uniform(0, (expected.width, expected.height), (50, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 30, (50, 2))], axis=1)
    places = [
        shapely.to_wkb(one.to_polygons(boxes).to_shapely()).tolist() for one in (first, second)
    ]
    assert places[0] == places[1]
    assert shapely.to_wkb(footprint(found, first)) == shapely.to_wkb(footprint(expected, second))


def _values(gcp):
    return gcp.col, gcp.row, gcp.x, gcp.y, gcp.z or 0.0
