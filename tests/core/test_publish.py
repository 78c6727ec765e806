"""What lands in the results folder, for scenes that rasterio wrote."""

import json

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
from rasterio import Affine

from swath import storage
from swath.errors import SceneChangedError
from swath.payloads import ModelRef, RunOptions, RunRequest, SceneRef
from swath.publish import count_classes, publish_run, scene_footprint


def north_up(west, north, pixel):
    """A transform to a grid of square pixels."""
    return Affine(pixel, 0, west, 0, -pixel, north)


@pytest.fixture
def scene(tmp_path):
    """Writes a scene of one value and gives its reference."""

    def write(crs, transform, *, width=400, height=200, name="scene.tif"):
        path = tmp_path / name
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": crs}
        with rasterio.open(
            path, "w", width=width, height=height, transform=transform, **profile
        ) as target:
            target.write(np.ones((1, height, width), "uint8"))
        return SceneRef(
            uri=str(path), etag=storage.etag(str(path)), dropped_at="2026-11-21T12:00:00Z"
        )

    return write


@pytest.fixture
def request_of():
    def request(scene):
        return RunRequest.new(
            scene=scene,
            model=ModelRef(name="ships", uri="s3://m/ships.tar.gz", digest="d1"),
            options=RunOptions(),
        )

    return request


@pytest.fixture
def published(scene, request_of, merged, tmp_path):
    """A run of a scene near Busan, published; its request and its summary."""
    request = request_of(scene("EPSG:32652", north_up(500_000, 3_900_000, 10)))
    summary = publish_run(request, merged(5), str(tmp_path / "results"), backend="batch")
    return request, summary


def test_the_detections_are_copied_as_they_are(published):
    request, summary = published
    assert summary.detections_uri.endswith(f"results/runs/{request.run_id}/detections.parquet")
    assert pq.read_table(summary.detections_uri).num_rows == 5


def test_the_item_can_be_read_back_and_leads_to_the_detections(published):
    request, summary = published

    item = pystac.Item.from_file(summary.item_uri)

    assert item.id == request.run_id
    assert item.datetime.isoformat() == "2026-11-21T12:00:00+00:00"
    assert item.assets["detections"].get_absolute_href() == summary.detections_uri
    assert item.assets["detections"].media_type == "application/vnd.apache.parquet"
    (source,) = item.get_links("derived_from")
    assert source.href == request.scene.uri


def test_the_item_has_what_stac_requires(published):
    _, summary = published
    item = storage.read_json(summary.item_uri)
    assert item["type"] == "Feature"
    assert item["stac_version"].startswith("1.")
    assert item.keys() >= {"id", "geometry", "bbox", "properties", "links", "assets"}
    assert "datetime" in item["properties"]
    assert shapely.from_geojson(json.dumps(item["geometry"])).is_valid


def test_the_item_says_how_the_detections_came_about(published):
    request, summary = published
    properties = pystac.Item.from_file(summary.item_uri).properties
    assert properties["swath:scene"] == request.scene.uri
    assert properties["swath:model"] == "ships"
    assert properties["swath:model_digest"] == "d1"
    assert properties["swath:backend"] == "batch"
    assert properties["swath:classes"] == {"boat": 2, "ship": 3}
    assert properties["swath:detections"] == 5
    assert properties["swath:tiles"]["planned"] == 9


def test_the_item_describes_the_table(published):
    _, summary = published
    fields = pystac.Item.from_file(summary.item_uri).assets["detections"].extra_fields
    assert fields["table:row_count"] == 5
    assert fields["table:primary_geometry"] == "geometry"
    assert {"name": "score", "type": "float"} in fields["table:columns"]


def test_publishing_again_gives_the_same_files(published, request_of, merged, tmp_path):
    request, summary = published
    before = storage.read_bytes(summary.item_uri)
    again = publish_run(request, merged(5), str(tmp_path / "results"), backend="batch")
    assert again == summary
    assert storage.read_bytes(summary.item_uri) == before


def test_a_scene_without_detections_is_published_too(scene, request_of, merged, tmp_path):
    request = request_of(scene("EPSG:4326", north_up(10, 50, 0.01)))
    summary = publish_run(request, merged(0), str(tmp_path / "results"), backend="lambda")
    assert pystac.Item.from_file(summary.item_uri).properties["swath:classes"] == {}


def test_the_footprint_of_a_scene_in_degrees_is_its_rectangle(scene):
    footprint = scene_footprint(scene("EPSG:4326", north_up(10, 50, 0.01)))
    assert shapely.symmetric_difference(footprint, shapely.box(10, 48, 14, 50)).area < 1e-9


def test_the_footprint_of_a_projected_scene_follows_its_bent_edges(scene):
    reference = scene("EPSG:32633", north_up(100_000, 8_000_000, 2000))
    footprint = scene_footprint(reference)
    with rasterio.open(reference.uri) as opened:
        corners = [(0, 0), (400, 0), (400, 200), (0, 200)]
        edge = [
            opened.transform @ (column, row)
            for (column, row) in shapely.segmentize(shapely.Polygon(corners), 1).exterior.coords
        ]
        xs, ys = rasterio.warp.transform(opened.crs, "EPSG:4326", *zip(*edge, strict=True))
    truth = shapely.Polygon(zip(xs, ys, strict=True))
    assert footprint.geom_type == "Polygon"
    assert shapely.symmetric_difference(footprint, truth).area / truth.area < 1e-3


def test_a_scene_across_the_antimeridian_has_two_parts_and_a_bbox_that_says_so(
    scene, request_of, merged, tmp_path
):
    reference = scene("EPSG:32601", north_up(100_000, 2_000_000, 500))
    summary = publish_run(request_of(reference), merged(1), str(tmp_path), backend="batch")
    item = pystac.Item.from_file(summary.item_uri)
    west, south, east, north = item.bbox
    assert item.geometry["type"] == "MultiPolygon"
    assert 179 < west < 179.5
    assert -180 < east < -177
    assert south < north


def test_a_scene_that_was_replaced_is_not_described(scene, request_of, merged, tmp_path):
    reference = scene("EPSG:4326", north_up(10, 50, 0.01))
    scene("EPSG:4326", north_up(20, 50, 0.01), width=401)
    with pytest.raises(SceneChangedError, match=r"scene\.tif was replaced"):
        publish_run(request_of(reference), merged(1), str(tmp_path / "r"), backend="batch")
    assert not (tmp_path / "r").exists()


def test_classes_are_counted_over_all_row_groups(merged):
    with pq.ParquetFile(merged(250, row_group_size=33).uri) as file:
        assert count_classes(file) == {"boat": 125, "ship": 125}
