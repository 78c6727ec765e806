"""Tests of regions as polygons, against GDAL's polygonization."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio import features

from swath.detection.detections import NO_LABEL
from swath.detection.segmentation.polygonize import polygonize, polygonize_mask, polygonize_tile
from swath.raster.tiles import Grid

SIDES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=14)
LABELS = arrays.arrays(np.uint8, SIDES, elements=st.sampled_from([0, 1, NO_LABEL]))


def by_gdal(labels, background=NO_LABEL):
    """Return (label, outline) of each region as GDAL polygonizes it, sorted."""
    found = features.shapes(labels, mask=labels != background, connectivity=4)
    return sorted((int(value), same(shapely.geometry.shape(shape))) for shape, value in found)


def same(outline):
    """Return one WKT for equal outlines, independent of the rings' first corners."""
    return shapely.normalize(outline).wkt


@given(labels=LABELS)
def test_regions_are_those_of_gdal(labels):
    regions = polygonize(labels)

    found = zip(regions.label.tolist(), map(same, regions.outline), strict=True)
    assert sorted(found) == by_gdal(labels)


@given(labels=LABELS)
def test_outlines_are_valid_and_their_areas_are_pixels(labels):
    regions = polygonize(labels)

    assert shapely.is_valid(regions.outline).all()
    assert shapely.area(regions.outline).tolist() == regions.area.tolist()
    assert regions.area.sum() == np.count_nonzero(labels != NO_LABEL)


@given(labels=LABELS, seed=st.integers(0, 9))
def test_weights_are_summed_over_each_region(labels, seed):
    weight = np.random.default_rng(seed).random(labels.shape).astype(np.float32)

    regions = polygonize(labels, weight)

    for outline, total in zip(regions.outline, regions.weight_sum, strict=True):
        inside = features.rasterize([outline], labels.shape).astype(bool)
        assert total == pytest.approx(weight[inside].sum(dtype=np.float64))


def test_a_region_that_touches_itself_in_a_corner_has_a_hole_there():
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)

    outline = polygonize_mask(mask)

    assert outline.is_valid
    assert outline.area == 7
    assert [shapely.Polygon(hole).bounds for hole in outline.interiors] == [(1, 1, 2, 2)]


def test_holes_that_touch_in_a_corner_are_two():
    mask = np.ones((4, 4), bool)
    mask[1, 1] = mask[2, 2] = False

    outline = polygonize_mask(mask)

    assert outline.is_valid
    assert len(outline.interiors) == 2


def test_an_island_in_a_lake_is_a_part_of_its_own():
    mask = np.ones((5, 5), bool)
    mask[1:4, 1:4] = False
    mask[2, 2] = True

    outline = polygonize_mask(mask, (10, 20))

    assert outline.geom_type == "MultiPolygon"
    assert sorted(part.bounds for part in outline.geoms) == [(10, 20, 15, 25), (12, 22, 13, 23)]
    assert outline.area == 17


def test_corners_alone_join_nothing():
    assert len(polygonize_mask(np.eye(3, dtype=bool)).geoms) == 3


def test_an_empty_mask_has_no_outline():
    assert polygonize_mask(np.zeros((3, 4), bool)) is None


def test_a_straight_edge_has_no_vertex_within():
    assert shapely.get_num_coordinates(polygonize_mask(np.ones((30, 40), bool))) == 5


def test_a_tile_owns_the_regions_of_its_core():
    tile = Grid(40, 16, 16, 8).tile(1)
    labels = np.zeros((16, 16), np.uint8)
    labels[:, 6:] = 1
    probability = np.where(labels == 1, 0.75, 0.5).astype(np.float32)

    seen = polygonize_tile(labels, probability, tile)

    assert tile.core == (12, 0, 20, 16)
    assert seen.labels.shape == (16, 8)
    assert seen.detections.box.tolist() == [[12, 0, 14, 16], [14, 0, 20, 16]]
    assert seen.detections.label.tolist() == [0, 1]
    assert seen.detections.score.tolist() == [0.5, 0.75]
    assert seen.detections.tile.tolist() == [1, 1]
    assert [same(outline) for outline in seen.detections.outline] == [
        same(shapely.box(12, 0, 14, 16)),
        same(shapely.box(14, 0, 20, 16)),
    ]


def test_background_doubt_and_nodata_are_in_no_region():
    tile = Grid(8, 4, 8, 0).tile(0)
    labels = np.tile(np.array([0, 0, 1, 1, 1, 1, 2, 2], np.uint8), (8, 1))
    probability = np.full((8, 8), 0.9, np.float32)
    probability[:, 3] = 0.4
    valid = np.ones((4, 8), bool)
    valid[:, 5] = False

    seen = polygonize_tile(labels, probability, tile, valid=valid, threshold=0.5, background=[2])

    row = [0, 0, 1, NO_LABEL, 1, NO_LABEL, NO_LABEL, NO_LABEL]
    assert seen.labels.tolist() == [row] * 4
    assert seen.detections.box.tolist() == [[0, 0, 2, 4], [2, 0, 3, 4], [4, 0, 5, 4]]


def test_a_pixel_whose_probability_is_not_a_number_has_no_class():
    tile = Grid(2, 1, 2, 0).tile(0)

    seen = polygonize_tile(np.zeros((2, 2), np.uint8), np.array([[np.nan, 1.0], [1.0, 1.0]]), tile)

    assert seen.labels.tolist() == [[NO_LABEL, 0]]


def test_nothing_seen_is_no_detection():
    tile = Grid(8, 8, 8, 0).tile(0)

    seen = polygonize_tile(np.zeros((8, 8), int), np.zeros((8, 8)), tile, threshold=0.5)

    assert len(seen.detections) == 0
    assert (seen.labels == NO_LABEL).all()
