"""Tests of the footprint of valid pixels and its area, against the full mask and pyproj."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from rasterio.features import geometry_mask
from rasterio.transform import Affine

from swath.raster import invalid_cells
from swath.raster.ellipsoid import EARTH_AREA_M2
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.invalid_cells import CellGrid, InvalidCells
from swath.raster.scene import open_scene
from swath.raster.valid_footprint import (
    MAX_CORNERS,
    MAX_EXACT_CORNERS,
    MIN_HOLE_CELLS,
    valid_area,
    valid_footprint,
    valid_outline,
)
from tests.helpers.anywhere import KINDS, SIDE

GEOD = Geod(ellps="WGS84")
NOT_ROUND_A_POLE = [
    "longitudes beyond 180", "Mercator beyond 180", "UTM across 180", "UTM, coarse",
    "turned and mirrored", "turned in degrees at 180", "south-up", "225 points across 180",
]  # fmt: skip


def scene_of(kind):
    return KINDS[kind], Georeferencer.from_info(KINDS[kind])


def random_mask(seed, width, height):
    """Return a mask with a slanted collar, holes and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    valid = x + random.uniform(-1, 1) * y > random.uniform(-0.2, 0.5) * width
    for _ in range(random.integers(4)):
        top, left = random.integers(0, [height, width])
        valid[top : top + height // 4, left : left + width // 3] = False
    return valid & (random.random((height, width)) > random.choice([0, 0, 0.02]))


def pixel_areas(georeferencer, width, height):
    """Return the area of each pixel by geodesics, (rows, cols)."""
    lon, lat = georeferencer.to_lonlat(np.arange(width + 1), np.arange(height + 1)[:, None])
    areas = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            x = [
                lon[row, column],
                lon[row + 1, column],
                lon[row + 1, column + 1],
                lon[row, column + 1],
            ]
            y = [
                lat[row, column],
                lat[row + 1, column],
                lat[row + 1, column + 1],
                lat[row, column + 1],
            ]
            areas[row, column] = abs(GEOD.polygon_area_perimeter(x, y)[0])
    return areas


@pytest.mark.parametrize("kind", NOT_ROUND_A_POLE)
@pytest.mark.parametrize("max_cells", [2048, 10])
def test_the_area_is_that_of_the_valid_pixels(kind, max_cells, monkeypatch):
    monkeypatch.setattr(invalid_cells, "MAX_CELLS", max_cells)
    _, georeferencer = scene_of(kind)
    areas = pixel_areas(georeferencer, SIDE, SIDE)
    for seed in range(8):
        valid = random_mask(seed, SIDE, SIDE)
        found = valid_area(georeferencer, InvalidCells.from_valid(valid))
        # A cell of 8 px has one share; scenes of this few px a side are where that matters most.
        tolerance = 1e-3 if max_cells == 2048 or kind != "longitudes beyond 180" else 5e-3
        assert found == pytest.approx(areas[valid].sum(), rel=tolerance)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("the whole Earth", EARTH_AREA_M2),
        ("from 0 to 360, all of it", EARTH_AREA_M2),
        ("from -360", EARTH_AREA_M2),
        ("north pole, equal area", 1200e3**2),
        ("half of the Earth about the pole", 12e6**2),
    ],
)
def test_areas_around_poles_and_the_whole_earth_are_right(kind, expected):
    _, georeferencer = scene_of(kind)
    found = valid_area(georeferencer, InvalidCells(CellGrid(SIDE, SIDE)))
    assert found == pytest.approx(expected, rel=1e-3)


def test_pixels_that_are_not_on_earth_have_no_area():
    _, georeferencer = scene_of("disc of the Earth")
    found = valid_area(georeferencer, InvalidCells(CellGrid(SIDE, SIDE)))
    # What is in sight from 35,786 km: the cap whose cosine is R / (R + h).
    expected = EARTH_AREA_M2 / 2 * (1 - 6371.0 / (6371.0 + 35785.8))
    assert found == pytest.approx(expected, rel=0.01)


@given(st.integers(0, 1 << 20), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=50)
def test_an_outline_of_small_cells_is_the_mask(seed, width, height):
    valid = random_mask(seed, width, height)
    outline = valid_outline(InvalidCells.from_valid(valid))
    covered = mask_from(outline, width, height)
    assert shapely.is_valid(outline)
    if shapely.get_num_coordinates(outline) <= MAX_EXACT_CORNERS and not outline.is_empty:
        # Only small holes are filled.
        assert covered[valid].all()
        extra = covered & ~valid
        holes = shapely.get_parts(shapely.difference(outline, outline_of(valid)))
        assert extra.sum() == pytest.approx(sum(hole.area for hole in holes))
        assert all(hole.area < MIN_HOLE_CELLS for hole in holes)
    elif not valid.any():
        assert outline.is_empty


@given(st.integers(0, 1 << 20), st.integers(40, 200), st.integers(40, 200))
@settings(max_examples=20)
def test_the_outline_of_larger_cells_stays_within_two_of_the_mask(seed, width, height):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(invalid_cells, "MAX_CELLS", 32)
        valid = random_mask(seed, width, height)
        cells = InvalidCells.from_valid(valid)
        outline, size = valid_outline(cells), cells.grid.size
    if not valid.any():
        assert outline.is_empty
        return
    exact = outline_of(valid)
    reach = shapely.buffer(outline, 2 * size, join_style="mitre")
    assert shapely.difference(exact, reach).area == 0
    beyond = shapely.get_parts(shapely.difference(outline, shapely.buffer(exact, 3 * size)))
    assert all(part.area < MIN_HOLE_CELLS * size**2 for part in beyond)


def mask_from(outline, width, height):
    if outline.is_empty:
        return np.zeros((height, width), bool)
    return ~geometry_mask([outline], (height, width), Affine.identity())


def outline_of(valid):
    rows, columns = np.nonzero(valid)
    return shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))


def test_noise_is_bounded():
    """Half of 4 million cells at random would have an outline of millions of corners."""
    valid = np.random.default_rng(1).random((2048, 2048)) > 0.5
    valid[:900] = False
    outline = valid_outline(InvalidCells.from_valid(valid))
    assert shapely.get_num_coordinates(outline) <= MAX_CORNERS
    assert outline.bounds == (0, pytest.approx(900, abs=64), 2048, 2048)


def test_a_scene_of_valid_pixels_has_its_outline():
    for kind in ("UTM, coarse", "from 0 to 360, all of it", "disc of the Earth"):
        scene, georeferencer = scene_of(kind)
        found = valid_footprint(scene, georeferencer, InvalidCells(CellGrid(SIDE, SIDE)))
        assert found == footprint(scene, georeferencer)


def test_a_scene_without_a_valid_pixel_has_no_footprint_and_no_area():
    scene, georeferencer = scene_of("UTM, coarse")
    cells = InvalidCells.from_valid(np.zeros((SIDE, SIDE), bool))
    assert valid_footprint(scene, georeferencer, cells).is_empty
    assert valid_area(georeferencer, cells) == 0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_footprint_lies_where_its_pixels_are(kind):
    scene, georeferencer = scene_of(kind)
    valid = np.zeros((SIDE, SIDE), bool)
    valid[9:51, 12:40] = True
    valid[20:30, 20:30] = False
    found = valid_footprint(scene, georeferencer, InvalidCells.from_valid(valid))
    assert shapely.is_valid(found)
    center = np.arange(0.5, SIDE)
    lon, lat = georeferencer.to_lonlat(center, center[:, None])
    on_earth = np.isfinite(lon)
    # Pixels at the edge may be off by half a pixel, and by their ground control points.
    inner = np.zeros_like(valid)
    inner[11:49, 14:38] = True
    inner[18:32, 18:32] = False
    inner &= on_earth
    assert shapely.intersects_xy(found, lon[inner], lat[inner]).mean() > 0.99
    if georeferencer.turn_px > SIDE:
        outside = np.ones_like(valid)
        outside[7:53, 10:42] = False
        outside[22:28, 22:28] = True
        outside &= on_earth
        assert shapely.intersects_xy(found, lon[outside], lat[outside]).mean() < 0.01


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("items/landsat_c2l1_089074/LC08_L1GT_089074_20220506_20220512_02_T2_B10.TIF", 0.6),
        ("scenes/rasterio/RGB.byte.tif", 0.6),
        ("scenes/rasterio/all-nodata.tif", 0),
        ("scenes/rio-tiler/cog_gcps.tif", None),
    ],
)
def test_real_scenes_with_collars(data, name, share):
    with open_scene(str(data / name)) as scene:
        info = scene.info
        valid = scene.read_valid((0, 0, info.width, info.height), [1])
    georeferencer, cells = Georeferencer.from_info(info), InvalidCells.from_valid(valid)
    outline = valid_footprint(info, georeferencer, cells)
    area = valid_area(georeferencer, cells)
    lon, lat = georeferencer.to_lonlat(
        [0, info.width, info.width, 0], [info.height, info.height, 0, 0]
    )
    whole = abs(GEOD.polygon_area_perimeter(lon, lat)[0])
    assert area == pytest.approx(valid.mean() * whole, rel=5e-3)
    if share is not None:
        assert valid.mean() == pytest.approx(share, abs=0.1)
    assert shapely.is_valid(outline)
    y, x = np.nonzero(valid)
    if len(x):
        some = np.random.default_rng(0).integers(0, len(x), 2000)
        inside = shapely.intersects_xy(
            outline, *georeferencer.to_lonlat(x[some] + 0.5, y[some] + 0.5)
        )
        assert inside.mean() > 0.99
        measured = sum(
            abs(GEOD.geometry_area_perimeter(part)[0]) for part in shapely.get_parts(outline)
        )
        assert measured >= 0.99 * area
