"""Tests of GeoPackage, GeoJSON and FlatGeobuf: the content equals the run's GeoParquet file."""

import errno
import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from swath.detection import vector_formats as module
from swath.detection.detections import Detections
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.scene_facts import SceneFacts
from swath.detection.vector_formats import write_vector
from swath.errors import RunIncompleteError
from swath.messages import Acquisition
from swath.raster.polygons import PolygonArray
from swath.storage.earlier_outputs import is_geopackage, is_vector
from swath.storage.output_folder import VECTOR_FILES

FORMATS = [*VECTOR_FILES]
CLASSES = ["ship", "Boot “Ä”, 船"]
HOLED = shapely.Polygon(
    [(10, 10), (14, 10), (14, 14), (10, 14)], [[(11, 11), (11, 12), (12, 12), (12, 11)]]
)
SPLIT = shapely.MultiPolygon([shapely.box(179, -1, 180, 1), shapely.box(-180, -1, -179.5, 1)])
AT_POLE = shapely.Polygon([(-180, 90), (-180, 85.5), (0, 86), (180, 85.5), (180, 90)])


def places_of(geometries):
    shape = np.empty(len(geometries), object)
    shape[:] = geometries
    return PolygonArray(np.full((len(shape), 5, 2), np.nan), shape)


def boxes(count):
    """Return boxes of 1e-4 degrees all over the Earth."""
    low = np.random.default_rng(0).uniform((-179, -80), (179, 80), (count, 2))
    lon, lat = low[:, :1], low[:, 1:]
    return PolygonArray.from_corners(
        lon + np.array([[0, 1e-4, 1e-4, 0]]), lat + np.array([[0, 0, 1e-4, 1e-4]])
    )


@pytest.fixture
def parquet(tmp_path):
    """Return a function that writes a run's GeoParquet file."""

    def write(places, acquired_at=None):
        rng, count = np.random.default_rng(0), len(places)
        rows = Detections(
            rng.uniform(0, 1e5, (count, 4)),
            rng.random(count).astype(np.float32),
            rng.integers(0, 2, count).astype(np.int16),
            rng.integers(0, 2**40, count),
            np.zeros(count, np.uint8),
        )
        with GeoParquetWriter(
            tmp_path / "detections.parquet",
            classes=CLASSES,
            run_id="0123",
            scene="s3://scenes/a b.tif",
            model="ships",
            facts=SceneFacts(
                footprint=shapely.box(0, 0, 1, 1),
                valid_footprint=shapely.box(0, 0, 1, 1),
                acquisition=Acquisition(acquired_at=acquired_at),
            ),
        ) as out:
            out.write(rows, places)
        return tmp_path / "detections.parquet"

    return write


@pytest.fixture
def convert(tmp_path):
    """Return a function that writes a format. It returns the file and rows in GeoParquet order."""

    def to(source, form):
        target = tmp_path / VECTOR_FILES[form]
        assert write_vector(source, target, form) == []
        info, table = pyogrio.read_arrow(target)
        geometry = shapely.from_wkb(table[info["geometry_name"] or "wkb_geometry"].to_pylist())
        if not table.num_rows:
            return target, info, table, geometry
        # All boxes in px differ. FlatGeobuf orders its rows by position.
        order = np.argsort(table["x_min"].to_numpy(), kind="stable")
        return target, info, table.take(order), geometry[order]

    return to


def in_order(source):
    table = pq.read_table(source)
    table = table.take(np.argsort(table["x_min"].to_numpy(), kind="stable"))
    return table, shapely.from_wkb(table["geometry"].to_pylist())


def as_multi(geometries):
    return [
        shapely.MultiPolygon([one]) if one.geom_type == "Polygon" else one for one in geometries
    ]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "places",
    [
        boxes(66_000),
        places_of([HOLED, SPLIT, AT_POLE]),
        places_of([HOLED, AT_POLE]),
        places_of([SPLIT]),
    ],
    ids=["boxes", "mixed", "polygons", "multi"],
)
def test_it_holds_the_same_rows(parquet, convert, form, places):
    source = parquet(places)
    expected, geometries = in_order(source)

    _, info, table, written = convert(source, form)

    assert info["crs"] == "EPSG:4326"
    names = [name for name in expected.column_names if name not in {"geometry", "bbox"}]
    assert info["fields"].tolist() == names
    for name in names:
        values = expected[name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(pa.string())
        read = table[name].cast(values.type)
        assert read.to_pylist() == values.to_pylist(), name
        if form != "geojson" and name != "acquired_at":
            assert table[name].type == values.type, "in JSON, a number is a number"
    mixed = len({one.geom_type for one in geometries}) > 1 and form != "geojson"
    wanted = as_multi(geometries) if mixed else geometries
    # GeoJSON's coordinates are rounded.
    precise = 0 if form != "geojson" else 1e-8
    assert shapely.equals_exact(
        shapely.normalize(written), shapely.normalize(wanted), precise
    ).all()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shapes", [[HOLED, SPLIT], [HOLED], [SPLIT]])
def test_a_layer_has_one_type_where_its_format_wants_one(parquet, convert, form, shapes):
    _, info, _, written = convert(parquet(places_of(shapes)), form)

    types = {one.geom_type for one in written}
    if form == "geojson":
        assert types == {one.geom_type for one in shapes}
    else:
        assert types == {info["geometry_type"]}


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_result_is_a_file_with_the_columns(parquet, convert, form):
    source = parquet(boxes(0))

    target, info, table, _ = convert(source, form)

    assert table.num_rows == 0
    if form == "geojson":
        # GeoJSON has columns only as properties of its features.
        assert json.loads(target.read_text())["features"] == []
    else:
        assert info["fields"].tolist() == [
            name for name in pq.read_schema(source).names if name not in {"geometry", "bbox"}
        ]


def test_geojson_is_that_of_rfc_7946(parquet, convert):
    target, *_ = convert(parquet(places_of([HOLED, SPLIT])), "geojson")

    collection = json.loads(target.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    rings = [
        ring
        for feature in collection["features"]
        for polygon in (
            [feature["geometry"]["coordinates"]]
            if feature["geometry"]["type"] == "Polygon"
            else feature["geometry"]["coordinates"]
        )
        for ring in polygon[:1]
    ]
    assert all(shapely.LinearRing(ring).is_ccw for ring in rings)


def test_a_geopackage_is_indexed(parquet, convert):
    target, *_ = convert(parquet(boxes(100)), "gpkg")

    with closing(sqlite3.connect(target)) as database:
        (count,) = database.execute("SELECT count(*) FROM rtree_detections_geometry").fetchone()
        (system,) = database.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchone()
    assert (count, system) == (100, 4326)


@pytest.mark.parametrize("form", FORMATS)
def test_swath_knows_its_own_files(parquet, convert, form, tmp_path):
    target, *_ = convert(parquet(boxes(3)), form)
    is_own = is_geopackage if form == "gpkg" else is_vector
    other = tmp_path / f"other.{form}"
    rows = pa.table({"class": ["ship"], "geometry": [shapely.to_wkb(HOLED)]})
    pyogrio.write_arrow(
        rows, other, geometry_name="geometry", geometry_type="Polygon", crs="EPSG:4326"
    )

    assert is_own(target)
    assert not is_own(other)
    assert not is_own(tmp_path)
    assert not is_own(tmp_path / "absent")


def test_a_geopackage_with_a_layer_of_the_user_is_not_swaths(parquet, convert):
    target, *_ = convert(parquet(boxes(3)), "gpkg")
    rows = pa.table({"name": ["mine"], "geometry": [shapely.to_wkb(HOLED)]})
    pyogrio.write_arrow(
        rows, target, layer="mine", geometry_name="geometry", geometry_type="Polygon",
        crs="EPSG:4326", append=True,
    )  # fmt: skip

    assert pyogrio.list_layers(target)[:, 0].tolist() == ["detections", "mine"]
    assert not is_geopackage(target)


def test_an_index_that_takes_too_much_memory_is_left_out(parquet, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_INDEXED_FLATGEOBUF_ROWS", 9)
    source, target = parquet(boxes(10)), tmp_path / "detections.fgb"

    (warning,) = write_vector(source, target, "fgb")

    assert warning.startswith("detections.fgb has no spatial index, as its 10 rows are more than 9")
    info = pyogrio.read_info(target)
    assert info["features"] == 10
    assert not info["capabilities"]["fast_spatial_filter"]


IN_LITTLE_ROOM = """
import resource, sys
from pathlib import Path
from swath.detection.vector_formats import write_vector
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
try:
    write_vector(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_a_file_that_cannot_be_written_is_an_error_of_the_system(parquet, tmp_path, form, share):
    source, whole = parquet(boxes(10_000)), tmp_path / f"whole.{form}"
    write_vector(source, whole, form)
    target = tmp_path / VECTOR_FILES[form]
    room = int(share * whole.stat().st_size)

    ran = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_ROOM, source, target, form, str(room)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == f"{errno.EFBIG} {target}\n"
    assert ran.stderr == ""


def test_other_errors_of_gdal_are_reported(parquet, tmp_path):
    target = tmp_path / "none" / "detections.gpkg"

    with pytest.raises(FileNotFoundError, match=r"none/detections\.gpkg"):
        write_vector(parquet(boxes(3)), target, "gpkg")


def test_a_file_with_too_few_rows_is_refused(parquet, tmp_path, monkeypatch):
    monkeypatch.setattr(pyogrio, "read_info", lambda *_, **__: {"features": 2, "capabilities": {}})

    with pytest.raises(RunIncompleteError, match="has 2 rows instead of 3"):
        write_vector(parquet(boxes(3)), tmp_path / "x.gpkg", "gpkg")


PEAK = """
import resource, sys
from pathlib import Path
from swath.detection import vector_formats
vector_formats.MAX_INDEXED_FLATGEOBUF_ROWS = 0
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
vector_formats.write_vector(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("form", "rows"), [("gpkg", 1_000_000), ("fgb", 1_000_000), ("geojson", 200_000)]
)
def test_memory_does_not_grow_with_the_rows(parquet, tmp_path, form, rows):
    source, target = parquet(boxes(rows)), tmp_path / VECTOR_FILES[form]

    ran = subprocess.run(
        [sys.executable, "-c", PEAK, source, target, form],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(ran.stdout) < 110e6
    assert target.stat().st_size > 100e6


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("acquired_at", [None, "2026-05-31T10:00:00.5Z"])
def test_the_time_of_acquisition_is_an_attribute(parquet, convert, form, acquired_at):
    *_, info, table, _ = convert(parquet(boxes(9), acquired_at), form)
    assert "acquired_at" in info["fields"]
    stated = [time and pd.Timestamp(time) for time in table["acquired_at"].to_pylist()]
    # FlatGeobuf's times have no zone; those of the layer are in UTC.
    times = {time if not time or time.tzinfo else time.tz_localize("UTC") for time in stated}
    assert times == {acquired_at and pd.Timestamp(acquired_at)}
