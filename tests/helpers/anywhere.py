"""Scenes of every kind of region on Earth, and detections in them."""

import math

import numpy as np
import rasterio
import shapely
import shapely.affinity
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.detection.detections import Detections
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts
from swath.detection.spatial_order import center_cells, spatial_order
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.projection import LON_LAT
from swath.raster.scene import open_scene
from swath.raster.scene_info import ImageInfo

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
GEOSTATIONARY = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +units=m +no_defs"
TILE = 2 * math.pi * 6371007.181 / 36
SIDE = 60


def square(crs, x, y, pixel):
    """SIDE px a side about a position in the CRS."""
    half = SIDE / 2 * pixel
    return CRS.from_user_input(crs), Affine(pixel, 0, x - half, 0, -pixel, y + half)


def modis(h, v):
    """A tile of the sinusoidal grid."""
    x, y = (h - 18 + 0.5) * TILE, (8.5 - v) * TILE
    return square(SINUSOIDAL, x, y, TILE / SIDE)


SCENES = {
    "south pole": square("EPSG:3031", 0, 0, 1e4),
    "beside the south pole": square("EPSG:3031", 3.1e5, -2e5, 1e4),
    "antimeridian by the south pole": square("EPSG:3031", 0, -15e5, 1e4),
    "north pole": square("EPSG:3413", 370, -810, 3e3),
    "beside the north pole": square("EPSG:3413", -1e5, 1.017e5, 4e3),
    "north pole, equal area": square("EPSG:3571", 1e5, 1e5, 2e4),
    "half of the Earth about the pole": square("EPSG:3571", 0, 0, 2e5),
    "sinusoidal, at the pole": modis(18, 0),
    "sinusoidal, at the other pole": modis(17, 17),
    "sinusoidal, at the edge of the map": modis(35, 9),
    "sinusoidal, across the edge": modis(27, 3),
    "disc of the Earth": square(GEOSTATIONARY, 0, 0, 11e6 / SIDE),
    "limb": square(GEOSTATIONARY, 4.8e6, 1e6, 3e4),
    "from 0 to 360": square(LON_LAT, 180, 0, 3),
    "longitudes beyond 180": square(LON_LAT, 185, 10, 0.5),
    "half a pixel beyond the pole": square(LON_LAT, 20, 75.2, 0.5),
    "the whole Earth": (LON_LAT, Affine(6, 0, -180, 0, -3, 90)),
    "Mercator beyond 180": square("EPSG:3857", 20037508, 5e6, 2e4),
    "UTM across 180": square("EPSG:32601", 1.7e5, 7e6, 500),
    "far outside a UTM zone": square("EPSG:32633", 15e5, 75e5, 1000),
    "UTM, coarse": square("EPSG:32633", 5e5, 6e6, 2000),
    "from 0 to 360, all of it": (LON_LAT, Affine(6, 0, 0, 0, -3, 90)),
    "from half a pixel before 0": (LON_LAT, Affine(6, 0, -3.2, 0, -3, 90)),
    "from -360": (LON_LAT, Affine(6, 0, -360, 0, -3, 90)),
    "most of the Earth, from 20 on": (LON_LAT, Affine(5, 0, 20, 0, -2, 60)),
    "gradians from Paris": square("EPSG:4807", 2, 52, 1e-3),
    "gradians, the whole Earth": (CRS.from_epsg(4807), Affine(20 / 3, 0, -200, 0, -3, 90)),
    "Mercator of the whole Earth": square("EPSG:3857", 0, 0, 2 * 20037508.342789244 / SIDE),
    "Mercator, all from 0 to 360": square("EPSG:3857", 20037508, 0, 2 * 20037508.34279 / SIDE),
    "Mercator of the Pacific": square("EPSG:3832", 0, 0, 5e5),
    "Mercator of the Pacific, at its cut": square("EPSG:3832", 20037508, 1e6, 2e4),
    "plate carree": square("EPSG:4087", 20037508, 1e6, 1e5),
    "northing first, Poland": square("EPSG:2180", 5e5, 5e5, 100),
    "northing first, Germany": square("EPSG:31467", 35e5, 56e5, 100),
    "northing first, Europe": square("EPSG:3035", 43e5, 32e5, 1000),
    "across 180 in New Zealand": square("EPSG:3851", 3e6, 7e6, 5e4),
    "turned and mirrored": (CRS.from_epsg(32633), Affine(300, 120, 4e5, -90, 280, 5e6)),
    "turned in degrees at 180": (LON_LAT, Affine(0.03, 0.02, 178.5, 0.02, -0.03, 10)),
    "rotated": (CRS.from_epsg(32633), Affine(300, 120, 4e5, 90, -280, 5e6)),
    "south-up": (CRS.from_epsg(32633), Affine(10, 0, 5e5, 0, 10, 5e6)),
}


def scene_of(crs, transform, gcps=()):
    return ImageInfo(
        uri="x.tif", width=SIDE, height=SIDE, crs=crs, transform=transform, gcps=gcps, rpcs=False
    )


def by_points(count, first):
    """A scene by count by count ground control points, from a longitude on eastward."""
    along = np.linspace(0, SIDE, count)
    return scene_of(
        LON_LAT,
        None,
        tuple(
            GroundControlPoint(
                row=float(row),
                col=float(col),
                x=(first + col * 0.01 + 0.02 * math.sin(row / 20) + 180) % 360 - 180,
                y=60 - row * 0.01 + 0.02 * math.cos(col / 15),
            )
            for row in along
            for col in along
        ),
    )


KINDS = {
    **{name: scene_of(*where) for name, where in SCENES.items()},
    "9 points": by_points(3, 10),
    "9 points across 180": by_points(3, 179.7),
    "225 points across 180": by_points(15, 179.7),
    "1,089 points": by_points(33, 10),
}


class GeoreferencedScene:
    """A scene's file, and what a run knows of its location."""

    def __init__(self, kind, folder):
        """Write the file of a kind into a folder."""
        placed = KINDS[kind]
        path = folder / "scene.tif"
        form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint8"}
        place = {} if placed.gcps else {"crs": placed.crs, "transform": placed.transform}
        with rasterio.open(path, "w", **form, **place) as file:
            file.write(np.ones((1, SIDE, SIDE), "uint8"))
            if placed.gcps:
                file.gcps = (placed.gcps, placed.crs)
        with open_scene(str(path)) as opened:
            self.info = opened.info
        self.georeferencer = Georeferencer.from_info(self.info)
        self.outline = footprint(self.info, self.georeferencer)

    def write_detections(self, path, found):
        """Write a run's GeoParquet, and give the detections that have a row there, in its order."""
        places = self.georeferencer.to_polygons(found.box, found.outline)
        with GeoParquetWriter(
            path,
            classes=["ship"],
            run_id="r",
            scene=self.info.uri,
            model="m",
            facts=SceneFacts(footprint=self.outline, valid_footprint=self.outline),
        ) as writer:
            writer.write(found, places)
        kept, edges = found.take(places.is_valid), places.take(places.is_valid).bounds()
        return kept.take(spatial_order(center_cells(edges), tile=kept.tile, score=kept.score))


def detected(outlines):
    """Detections of given outlines, in px."""
    scores, labels = np.ones(len(outlines), np.float32), np.zeros(len(outlines), np.int16)
    drawn = np.array(outlines, object)
    return Detections.from_tile(shapely.bounds(drawn), scores, labels, 0, drawn)


def _box(x, y, width, height):
    return shapely.box(x, y, min(SIDE, x + width), min(SIDE, y + height))


def _turned(x, y, side, degrees):
    upright = shapely.box(x - side / 2, y - 2, x + side / 2, y + 2)
    return shapely.affinity.rotate(upright, degrees)


_start, _middle = st.floats(0, SIDE - 2), st.floats(8, SIDE - 8)
_boxes = st.builds(_box, _start, _start, st.floats(2, SIDE), st.floats(2, SIDE))
_at_edges = st.builds(_box, st.sampled_from([0, SIDE - 5]), _start, st.floats(5, SIDE), st.just(9))
_wide = st.builds(_box, st.floats(0, 1), _start, st.just(SIDE), st.floats(2, SIDE))
_holed = _boxes.filter(lambda b: b.area > SIDE).map(
    lambda b: b - shapely.affinity.scale(b, 0.4, 0.4)
)
OUTLINES = st.lists(
    _boxes
    | _at_edges
    | _wide
    | st.builds(_turned, _middle, _middle, st.floats(2, 10), st.floats(0, 180))
    | _holed,
    min_size=4,
    max_size=12,
)
"""Boxes, turned boxes and outlines with holes, many of them at the scene's edges or wide."""
