"""Tests of geometry validity in PostGIS, for scenes of every kind of location on Earth."""

import pytest
import shapely
from hypothesis import HealthCheck, given, settings

from swath import storage
from swath.database.load import load_run
from swath.messages import MergeSummary, TileCounts
from tests.helpers.anywhere import KINDS, OUTLINES, GeoreferencedScene, detected
from tests.helpers.fuzzing import draws
from tests.helpers.runs import run_request


@pytest.fixture(scope="module", name="scenes")
def _scenes(tmp_path_factory):
    return {kind: GeoreferencedScene(kind, tmp_path_factory.mktemp("valid")) for kind in KINDS}


@pytest.mark.fuzz
@settings(
    max_examples=draws(2, fuzz=100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(outlines=OUTLINES)
def test_every_geometry_is_valid_in_postgis(connection, scenes, tmp_path, outlines):
    for kind, scene in scenes.items():
        path = tmp_path / "detections.parquet"
        kept = scene.write_detections(path, detected(outlines))
        merge = MergeSummary(
            uri=str(path),
            etag=storage.etag(str(path)),
            detections=len(kept),
            tiles=TileCounts(planned=1, succeeded=1, failed=0, skipped=0),
        )

        load_run(connection, run_request(uri=f"s3://scenes/{kind}.tif"), merge, backend="lambda")

        faults = connection.execute(
            "SELECT ST_IsValidReason(geom) FROM swath.detections WHERE NOT ST_IsValid(geom)"
        ).fetchall()
        loaded, outside = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE NOT ST_Covers("
            "ST_MakeEnvelope(-180, -90, 180, 90, 4326), geom)) FROM swath.detections"
        ).fetchone()
        (outline,) = connection.execute(
            "SELECT ST_IsValidReason(ST_GeomFromGeoJSON(%s))", [shapely.to_geojson(scene.outline)]
        ).fetchone()
        assert (faults, loaded, outside, outline) == ([], len(kept), 0, "Valid Geometry"), kind
        connection.execute("DELETE FROM swath.runs")
