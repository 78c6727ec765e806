"""Tests of exports from the database: against the rows that were loaded."""

import json

import geopandas
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from swath.database.connect import connect_dsn
from swath.database.load import load_run
from swath.database.queries.filters import DetectionFilter
from swath.errors import SettingsError
from swath.exports.export import export_database
from swath.exports.selection import Selection, read_area
from swath.exports.sources import DATABASE_SCHEMA
from swath.messages import Acquisition
from tests.helpers.runs import run_request

AROUND = shapely.box(0, 0, 40, 2)


@pytest.fixture
def loaded(dsn, merged):
    """Load two runs, of 30 ships and boats and of 5, and return their database and requests."""
    first = run_request("a")
    second = run_request("b", uri="s3://scenes/incoming/y.tif", model="trees")
    time = Acquisition(acquired_at="2026-05-31T10:00:00Z")
    with connect_dsn(dsn) as connection:
        load_run(connection, first, merged(30, acquisition=time, footprint=AROUND))
        load_run(connection, second, merged(5, footprint=AROUND))
    return dsn, first, second


def test_all_current_rows_are_exported_with_their_columns(loaded, tmp_path):
    dsn, first, second = loaded

    report = export_database(dsn, str(tmp_path / "o.parquet"))

    assert (report.rows, dict(report.classes)) == (35, {"boat": 17, "ship": 18})
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.column_names == DATABASE_SCHEMA.names
    assert {*table["run_id"].to_pylist()} == {first.run_id, second.run_id}
    assert len({*table["id"].to_pylist()}) == 35
    frame = geopandas.read_parquet(tmp_path / "o.parquet")
    assert frame.crs == "OGC:CRS84"
    assert shapely.area(frame.geometry).tolist() == pytest.approx([1.0] * 35)
    assert frame[frame.model == "trees"]["acquired_at"].isna().all()


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "geojsonl", "fgb", "csv", "parquet"])
def test_every_format_has_the_selected_rows(loaded, tmp_path, suffix):
    dsn, _, _ = loaded
    selection = Selection(DetectionFilter(classes=("ship",), bbox=(9.5, 0.2, 12.5, 0.8)))
    target = tmp_path / f"o.{suffix}"
    # Boxes are one degree wide from 0 east, and each other one is a ship.
    assert export_database(dsn, str(target), selection=selection).rows == 2
    if suffix not in {"csv", "parquet"}:
        assert len(pyogrio.read_dataframe(target)) == 2


def test_an_area_is_finer_than_its_box(loaded, tmp_path):
    dsn, _, _ = loaded
    area = shapely.Polygon([(10.5, 5), (20.5, 0.5), (20.5, 5)])
    (tmp_path / "area.geojson").write_text(json.dumps(shapely.geometry.mapping(area)))
    selection = Selection.from_area(DetectionFilter(), read_area(str(tmp_path / "area.geojson")))
    whole = Selection(selection.asked)
    assert export_database(dsn, str(tmp_path / "a.parquet"), selection=selection).rows == 2
    assert export_database(dsn, str(tmp_path / "b.parquet"), selection=whole).rows == 11


def test_a_database_that_cannot_be_used_leaves_no_file(tmp_path):
    with pytest.raises(SettingsError):
        export_database("not a dsn", str(tmp_path / "o.csv"))
    assert not [*tmp_path.iterdir()]
