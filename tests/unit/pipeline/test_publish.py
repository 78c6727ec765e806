"""Tests of publishing: the files in the results folder."""

import itertools
import json
from datetime import UTC, datetime

import duckdb
import geopandas
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pystac
import pystac.validation
import pytest
import shapely
from pystac.extensions.eo import EOExtension
from pystac.extensions.view import ViewExtension

from swath import storage
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts
from swath.errors import RunIncompleteError
from swath.exports.export import export_files
from swath.messages import (
    Acquisition,
    MergeSummary,
    ModelRef,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
)
from swath.pipeline.publish import publish_run
from swath.raster.polygons import PolygonArray
from tests.helpers.anywhere import KINDS, SIDE, GeoreferencedScene, detected
from tests.helpers.runs import FOOTPRINT, run_request

SCENE = SceneRef(uri="s3://scenes/incoming/gone.tif", etag="a", dropped_at="2026-11-21T12:00:00Z")


@pytest.fixture
def request_():
    """Return the request of a run whose scene no longer exists."""
    return RunRequest.new(
        scene=SCENE,
        model=ModelRef(name="ships", uri="s3://m/ships.tar.gz", digest="d1"),
        options=RunOptions(),
    )


@pytest.fixture
def published(request_, merged, tmp_path):
    """Publish a run and return its request and its summary."""
    summary = publish_run(request_, merged(5), str(tmp_path / "results"), backend="batch")
    return request_, summary


def test_the_detections_are_copied_as_they_are(published):
    request, summary = published
    assert summary.detections_uri.endswith(f"results/runs/{request.run_id}/detections.parquet")
    assert pq.read_table(summary.detections_uri).num_rows == 5


def test_the_item_can_be_read_back_and_leads_to_the_detections(published):
    request, summary = published

    item = pystac.Item.from_file(summary.item_uri)

    assert item.id == request.run_id
    assert item.properties["swath:dropped_at"] == "2026-11-21T12:00:00Z"
    assert item.assets["detections"].get_absolute_href() == summary.detections_uri
    assert item.assets["detections"].media_type == "application/vnd.apache.parquet"
    (source,) = item.get_links("derived_from")
    assert source.href == request.scene.uri


def test_the_summary_says_that_the_run_succeeded(published):
    request, summary = published

    said = storage.read_json(summary.item_uri.replace("item.json", "summary.json"))

    assert (said["run_id"], said["status"]) == (request.run_id, "succeeded")
    assert (said["detections"], said["tiles"]["planned"], said["cause"]) == (5, 9, None)


def test_the_item_has_what_stac_requires(published):
    _, summary = published
    item = storage.read_json(summary.item_uri)
    assert item["type"] == "Feature"
    assert item["stac_version"].startswith("1.")
    assert item.keys() >= {"id", "geometry", "bbox", "properties", "links", "assets"}
    assert "datetime" in item["properties"]
    assert shapely.from_geojson(json.dumps(item["geometry"])).is_valid


ACQUISITION = Acquisition(
    acquired_at="2026-05-31T10:00:00.5Z",
    platform="sentinel-2a",
    gsd=10,
    cloud_cover=12.5,
    sun_azimuth=155,
    sun_elevation=50,
    view_off_nadir=3,
    view_azimuth=100,
    view_incidence=4,
)


def test_the_item_s_time_is_that_of_the_acquisition(request_, merged, tmp_path):
    merge = merged(1, acquisition=ACQUISITION)
    item = read_valid_item(publish_run(request_, merge, str(tmp_path), backend="batch").item_uri)
    assert item.datetime == datetime(2026, 5, 31, 10, 0, 0, 500_000, UTC)
    assert "end_datetime" not in item.properties
    assert (item.common_metadata.platform, item.common_metadata.gsd) == ("sentinel-2a", 10)
    assert EOExtension.ext(item).cloud_cover == 12.5
    view = ViewExtension.ext(item)
    assert (view.sun_azimuth, view.sun_elevation) == (155, 50)
    assert (view.off_nadir, view.azimuth, view.incidence_angle) == (3, 100, 4)


def test_an_unknown_time_is_null_and_not_that_of_the_drop(request_, merged, tmp_path):
    uri = publish_run(request_, merged(1), str(tmp_path), backend="batch").item_uri
    item = read_valid_item(uri)
    properties = storage.read_json(uri)["properties"]
    assert (item.datetime, properties["datetime"]) == (None, None)
    # STAC requires a period then: the scene was acquired before its drop.
    assert properties["start_datetime"] == "1920-01-01T00:00:00Z"
    assert properties["end_datetime"] == "2026-11-21T12:00:00Z"
    assert not {"platform", "gsd", "eo:cloud_cover"} & properties.keys()
    assert not any("/eo/" in schema or "/view/" in schema for schema in item.stac_extensions)


def read_valid_item(uri):
    """Return an Item, after a check by the JSON schema of STAC's core."""
    item = pystac.Item.from_file(uri)
    core = item.to_dict(transform_hrefs=False) | {"stac_extensions": []}
    pystac.validation.validate_dict(core)
    return item


def test_the_item_is_where_valid_pixels_are(request_, merged, tmp_path):
    valid = shapely.box(128, 34, 129, 36)
    merge = merged(1, valid_footprint=valid, valid_area_m2=2.5e9)
    item = read_valid_item(publish_run(request_, merge, str(tmp_path), backend="batch").item_uri)
    assert shapely.equals(shapely.geometry.shape(item.geometry), valid)
    assert item.bbox == [128, 34, 129, 36]
    assert item.properties["swath:valid_area_m2"] == 2.5e9


def test_without_a_valid_pixel_the_item_is_where_the_scene_is(request_, merged, tmp_path):
    merge = merged(0, valid_footprint=shapely.Polygon(), valid_area_m2=0.0)
    item = read_valid_item(publish_run(request_, merge, str(tmp_path), backend="batch").item_uri)
    assert shapely.equals(shapely.geometry.shape(item.geometry), FOOTPRINT)
    assert item.properties["swath:valid_area_m2"] == 0


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


@pytest.mark.parametrize("threshold", [0.0, 0.75])
def test_the_item_says_which_score_threshold_the_run_had(request_, merged, tmp_path, threshold):
    options = RunOptions(score_threshold=threshold)
    raised = msgspec.structs.replace(request_, options=options)

    properties = [
        storage.read_json(publish_run(one, merged(5), str(tmp_path), backend="batch").item_uri)[
            "properties"
        ]
        for one in (raised, request_)
    ]

    assert properties[0]["swath:score_threshold"] == threshold
    assert "swath:score_threshold" not in properties[1]


def test_the_item_carries_the_run_s_warnings(request_, merged, tmp_path):
    merge = msgspec.structs.replace(merged(5), warnings=["B02 is odd"])

    summary = publish_run(request_, merge, str(tmp_path / "results"), backend="batch")

    assert storage.read_json(summary.item_uri)["properties"]["swath:warnings"] == ["B02 is odd"]


def test_the_item_describes_the_table(published):
    _, summary = published
    fields = pystac.Item.from_file(summary.item_uri).assets["detections"].extra_fields
    assert fields["table:row_count"] == 5
    assert fields["table:primary_geometry"] == "geometry"
    assert {"name": "score", "type": "float"} in fields["table:columns"]


def test_publishing_again_gives_the_same_files(published, merged, tmp_path):
    request, summary = published
    before = storage.read_bytes(summary.item_uri)
    again = publish_run(request, merged(5), str(tmp_path / "results"), backend="batch")
    assert again == summary
    assert storage.read_bytes(summary.item_uri) == before


def test_a_scene_without_detections_is_published_too(request_, merged, tmp_path):
    summary = publish_run(request_, merged(0), str(tmp_path / "results"), backend="lambda")
    assert pystac.Item.from_file(summary.item_uri).properties["swath:classes"] == {}


def test_the_item_is_where_the_scene_is(published):
    _, summary = published
    item = pystac.Item.from_file(summary.item_uri)
    assert shapely.equals(shapely.geometry.shape(item.geometry), FOOTPRINT)
    assert item.bbox == list(FOOTPRINT.bounds)


def test_across_the_antimeridian_the_bbox_says_so(request_, merged, tmp_path):
    parts = shapely.MultiPolygon([shapely.box(179, 10, 180, 12), shapely.box(-180, 10, -178, 12)])
    summary = publish_run(request_, merged(1, footprint=parts), str(tmp_path), backend="batch")
    item = pystac.Item.from_file(summary.item_uri)
    assert item.geometry["type"] == "MultiPolygon"
    assert item.bbox == [179, 10, -178, 12]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bbox_is_that_of_the_scene_wherever_it_is(kind, request_, merged, tmp_path):
    """Check west, south, east, north. Across the antimeridian, west exceeds east (RFC 7946)."""
    scene = GeoreferencedScene(kind, tmp_path)
    summary = publish_run(
        request_, merged(1, footprint=scene.outline), str(tmp_path), backend="batch"
    )
    item = pystac.Item.from_file(summary.item_uri)
    (west, south, east, north), outline = item.bbox, shapely.geometry.shape(item.geometry)
    center = np.arange(0.5, SIDE)
    lon, lat = scene.georeferencer.to_lonlat(center, center[:, None])
    there = np.isfinite(lon)
    lon, lat = lon[there], lat[there]

    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert -90 <= south < north <= 90
    across = (west <= lon) & (lon <= east) if west < east else (west <= lon) | (lon <= east)
    held = across & (south <= lat) & (lat <= north)
    # If the Earth ends inside the scene, the outline follows that edge to a fraction of a pixel.
    assert held.mean() > (0.97 if not there.all() else 0.9999)
    # No smaller bbox is possible: the outline reaches all of its edges.
    x, y = shapely.get_coordinates(outline).T
    assert [y.min(), y.max()] == [south, north]
    assert west in x
    assert east in x
    if west > east:
        assert not shapely.intersects(outline, shapely.box(east + 1e-6, -90, west - 1e-6, 90))


def test_a_file_that_the_merge_did_not_write_is_not_published(request_, merged, tmp_path):
    summary = msgspec.structs.replace(merged(5), etag="of another file")
    with pytest.raises(RunIncompleteError, match="is not the file that this run wrote"):
        publish_run(request_, summary, str(tmp_path / "results"), backend="batch")
    assert not (tmp_path / "results").exists()


@pytest.fixture
def table(merged, tmp_path):
    """Publish runs of two models and three months, and return the folder of the table."""
    times = ["2026-05-31T10:00:00Z", "2026-06-01T00:00:00Z", None]
    for number, (model, time) in enumerate(itertools.product(("ships", "käfer 1/2"), times)):
        request = run_request(str(number), uri=f"s3://scenes/{number}.tif", model=model)
        facts = SceneFacts(
            footprint=FOOTPRINT,
            valid_footprint=FOOTPRINT,
            acquisition=Acquisition(acquired_at=time),
        )
        path = tmp_path / f"{number}.parquet"
        with GeoParquetWriter(
            path,
            classes=["ship"],
            run_id=request.run_id,
            scene=request.scene.uri,
            model=model,
            facts=facts,
        ) as out:
            positions = np.array([[number, number + 1, number + 1, number]], float)
            rows = detected([shapely.box(0, 0, 1, 1)])
            out.write(rows, PolygonArray.from_corners(positions, np.array([[0.0, 0, 1, 1]])))
        merge = MergeSummary(
            uri=str(path), detections=1, tiles=TileCounts(), acquisition=facts.acquisition
        )
        publish_run(request, merge, str(tmp_path / "results"), backend="batch")
    return tmp_path / "results" / "detections"


def test_the_table_has_hive_s_partitions(table):
    found = sorted(str(path.parent.relative_to(table)) for path in table.rglob("*.parquet"))
    assert found == [
        *(f"model=k%C3%A4fer 1%2F2/month={month}" for month in ("1900-01", "2026-05", "2026-06")),
        *(f"model=ships/month={month}" for month in ("1900-01", "2026-05", "2026-06")),
    ]


def test_duckdb_reads_the_table_as_athena_does(table):
    """Check that partitions are columns, and that bounds select rows."""
    query = "SELECT model, month, bbox.xmin FROM read_parquet(?, hive_partitioning=true) WHERE {}"
    files = [f"{table}/*/*/*.parquet"]

    def select(condition):
        return sorted(duckdb.execute(query.format(condition), files).fetchall())

    assert select("model = 'ships' AND month >= '2026-05'") == [
        ("ships", "2026-05", 0.0),
        ("ships", "2026-06", 1.0),
    ]
    assert select("acquired_at IS NULL AND model = 'käfer 1/2'") == [("käfer 1/2", "1900-01", 5.0)]
    assert select("bbox.xmin > 3.5 AND month = '2026-06'") == [("käfer 1/2", "2026-06", 4.0)]


def test_pyarrow_and_geopandas_read_the_table(table):
    rows = pq.read_table(table).to_pylist()
    assert {(row["model"], row["month"]) for row in rows} == set(
        itertools.product(("ships", "käfer 1/2"), ("1900-01", "2026-05", "2026-06"))
    )
    (path,) = (table / "model=ships" / "month=2026-06").iterdir()
    assert len(geopandas.read_parquet(path, bbox=(1.5, 0, 1.8, 1))) == 1


def test_an_export_reads_a_part_of_the_table(table, tmp_path):
    whole = export_files(str(table), str(tmp_path / "a.parquet"))
    one = export_files(str(table / "model=ships/month=2026-05"), str(tmp_path / "b.parquet"))
    bucket = export_files(str(table.parent), str(tmp_path / "c.parquet"))
    assert (whole.rows, one.rows, bucket.rows) == (6, 1, 6)
