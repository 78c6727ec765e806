"""Tests of a run's own boxes read as labels of its scene: the px agree for all scene kinds."""

import json
import math

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.errors import LabelsError
from swath.labels.read import read_collection
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene
from tests.helpers.fuzzing import draws

SIDE = 300
LON_LAT, UTM = CRS.from_epsg(4326), CRS.from_epsg(32633)


def points(count, place, crs=LON_LAT):
    """Return `count` x `count` ground control points. `place` maps (col, row) to a position."""
    along = np.linspace(0, SIDE, count).tolist()
    made = [
        GroundControlPoint(row=r, col=c, x=x, y=y, z=0)
        for r in along
        for c in along
        for x, y in [place(c, r)]
    ]
    return {"gcps": made, "crs": crs}


def waves(first, pixel=1e-4, turn=0.0, up=-1, height=50):
    """Return a function from (col, row) to lon, lat: curved, rotated, perhaps south-up."""

    def place(c, r):
        x, y = c + 3 * math.sin(r / 90), r + 3 * math.cos(c / 70)
        x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        return (first + x * pixel + 180) % 360 - 180, height + up * y * pixel

    return place


KINDS = {
    "4 points": points(2, lambda c, r: (10 + c * 1e-4, 50 - r * 1e-4)),
    "9 points": points(3, waves(10)),
    "225 points": points(15, waves(10)),
    "1,089 points": points(33, waves(10)),
    "9 points across 180": points(3, waves(179.5, pixel=3e-3)),
    "225 points across 180": points(15, waves(179.5, pixel=3e-3)),
    "1,089 points across 180": points(33, waves(179.5, pixel=3e-3)),
    "turned": points(9, waves(10, turn=0.7)),
    "mirrored": points(9, waves(-70, turn=2.5, up=1, height=-40)),
    "near the pole": points(9, waves(10, pixel=1e-3, height=88)),
    "points in UTM": points(9, lambda c, r: (4e5 + 10 * c + r, 5e6 - 10 * r + c), UTM),
    "turned transform": {"transform": Affine(300, 120, 4e5, 90, -280, 5e6), "crs": UTM},
    "south-up": {"transform": Affine(10, 0, 5e5, 0, 10, 5e6), "crs": UTM},
    "degrees beyond 180": {"transform": Affine(0.01, 0, 179, 0, -0.01, 10), "crs": LON_LAT},
    "beside the pole": {"transform": Affine(30, 0, 4e5, 0, -30, 4e5), "crs": CRS.from_epsg(3413)},
}


@pytest.fixture(scope="module", params=KINDS, name="scene")
def _scene(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "scene.tif"
    form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint8"}
    kind = dict(KINDS[request.param])
    gcps, crs = kind.pop("gcps", None), kind.pop("crs")
    with rasterio.open(path, "w", **form, **kind, **({} if gcps else {"crs": crs})) as file:
        file.write(np.ones((1, SIDE, SIDE), "uint8"))
        if gcps:
            file.gcps = (gcps, crs)
    return path


def write_labels(scene, shapes):
    path = scene.with_suffix(".geojson")
    features = [
        {
            "type": "Feature",
            "properties": {"class": "ship"},
            "geometry": shapely.geometry.mapping(s),
        }
        for s in shapes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


starts = st.floats(0, SIDE - 40)
drawn = st.tuples(starts, starts, st.floats(3, 40), st.floats(3, 40))


@pytest.mark.fuzz
@settings(
    max_examples=draws(6, fuzz=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(boxes=st.lists(drawn, min_size=1, max_size=8))
def test_own_boxes_come_back_as_the_same_pixels(scene, boxes):
    wanted = np.array([(x, y, x + width, y + height) for x, y, width, height in boxes])
    with open_scene(str(scene)) as opened:
        shapes = Georeferencer.from_info(opened.info).to_polygons(wanted).to_shapely()
    whole = [shape.geom_type == "Polygon" for shape in shapes]

    (found,) = read_collection(str(write_labels(scene, shapes)), str(scene)).scenes

    np.testing.assert_allclose(found.boxes[whole], wanted[whole], atol=0.1)
    np.testing.assert_allclose(found.boxes, wanted, atol=0.1)


def test_a_corner_without_a_pixel_is_refused_by_name(tmp_path):
    # The many points define a polynomial, a parabola: no pixel lies south of its turning point.
    path = tmp_path / "folded.tif"
    folded = points(33, lambda c, r: (10 + c * 1e-4, 50 + ((r - 120) * 1e-3) ** 2))
    form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **form) as file:
        file.write(np.ones((1, SIDE, SIDE), "uint8"))
        file.gcps = (folded["gcps"], folded["crs"])
    south = shapely.box(10.01, 49.995, 10.02, 50.001)

    with pytest.raises(LabelsError, match=r"folded\.tif has ground control points that give no"):
        read_collection(str(write_labels(path, [south])), str(path))
