"""Tests of exports: each format is read by a library of others, and equals the selected rows."""

import csv
import json
import tracemalloc
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from swath.database.queries.filters import DetectionFilter
from swath.detection.geoparquet import CLASSES_KEY
from swath.detection.geoparquet_file import GeoParquetFile
from swath.errors import InputError
from swath.exports import export as module
from swath.exports.export import ExportFormat, export_files
from swath.exports.selection import Selection
from swath.exports.sources import read_files
from tests.unit.exports.test_selection import rows

FORMATS = [*ExportFormat]
SUFFIX = {ExportFormat.COCO: "json"}
STRICT = Selection(DetectionFilter(min_score=0.5, classes=("ship", "boat")))


def write_run(path, count, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = rows(count, seed)
    file = GeoParquetFile(path, table.schema)
    file.write(table)
    file.finish({CLASSES_KEY: "{}"})
    file.close()
    return table


@pytest.fixture
def results(tmp_path):
    """Return a folder with the results of three runs, and all of their rows."""
    folder = tmp_path / "results"
    tables = [
        write_run(folder / f"runs/{n}/detections.parquet", count, n)
        for n, count in enumerate((70, 0, 40))
    ]
    return folder, pa.concat_tables(tables)


def read_back(path, form):
    """Return class, score and geometry of each row of a file, in the order of x_min."""
    if form is ExportFormat.PARQUET:
        frame = geopandas.read_parquet(path)
    elif form is ExportFormat.CSV:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [*csv.DictReader(file)]
        frame = geopandas.GeoDataFrame(
            {
                "class": [line["class"] for line in lines],
                "score": [float(line["score"]) for line in lines],
                "x_min": [float(line["x_min"]) for line in lines],
            },
            geometry=shapely.from_wkt([line["wkt"] for line in lines]),
        )
    else:
        frame = pyogrio.read_dataframe(path)
    return frame.sort_values("x_min") if len(frame) else frame


@pytest.mark.parametrize("selection", [None, STRICT])
@pytest.mark.parametrize("form", [form for form in FORMATS if form is not ExportFormat.COCO])
def test_a_library_reads_what_was_selected(results, tmp_path, form, selection):
    folder, table = results
    target = tmp_path / f"out.{form}"

    report = export_files(str(folder), str(target), selection=selection)

    expected = (selection or Selection()).select(table).sort_by("x_min")
    frame = read_back(target, form)
    assert len(frame) == len(expected) == report.rows
    assert frame["class"].tolist() == expected["class"].to_pylist()
    assert frame["score"].astype(np.float32).tolist() == expected["score"].to_pylist()
    wanted = shapely.normalize(shapely.from_wkb(expected["geometry"].to_pylist()))
    shapes = [
        shape.geoms[0] if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1 else shape
        for shape in frame.geometry
    ]
    assert shapely.equals_exact(shapely.normalize(shapes), wanted, tolerance=2e-8).all()
    assert dict(report.classes) == {
        name: expected["class"].to_pylist().count(name) for name in sorted(report.classes)
    }
    assert [path.name for path in tmp_path.iterdir() if path.name != "results"] == [target.name]


def test_coco_has_boxes_in_px_scores_and_names(results, tmp_path):
    folder, table = results
    report = export_files(str(folder), str(tmp_path / "out.json"), selection=STRICT)

    content = json.loads((tmp_path / "out.json").read_text())

    expected = STRICT.select(table).sort_by("x_min").to_pylist()
    names = {category["id"]: category["name"] for category in content["categories"]}
    annotations = sorted(content["annotations"], key=lambda one: one["bbox"][0])
    assert len({one["id"] for one in annotations}) == len(expected) == report.rows
    for one, row in zip(annotations, expected, strict=True):
        x, y, width, height = one["bbox"]
        assert (x, y) == (row["x_min"], row["y_min"])
        assert (x + width, y + height) == pytest.approx((row["x_max"], row["y_max"]))
        assert (names[one["category_id"]], np.float32(one["score"])) == (row["class"], row["score"])
    assert content["images"] == [{"id": 1, "file_name": "s"}]
    assert report.warnings == [
        "1 of 1 scenes cannot be read, so the file has no sizes for them; one is s"
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_a_file_too(tmp_path, form):
    write_run(tmp_path / "run/detections.parquet", 0)
    target = tmp_path / f"out.{SUFFIX.get(form, form)}"
    assert export_files(str(tmp_path / "run"), str(target)).rows == 0
    if form is ExportFormat.COCO:
        assert json.loads(target.read_text())["annotations"] == []
    elif form is not ExportFormat.GEOJSONL:  # an empty file is an empty sequence
        assert len(read_back(target, form)) == 0


@pytest.mark.parametrize("form", FORMATS)
def test_an_error_leaves_no_file_and_keeps_the_earlier_one(results, tmp_path, monkeypatch, form):
    folder, _ = results
    target = tmp_path / f"out.{SUFFIX.get(form, form)}"
    target.write_text("earlier")

    def fail(source, selection):
        yield next(read_files(source, selection))
        raise OSError("no space")

    monkeypatch.setattr(module, "read_files", fail)
    with pytest.raises(OSError, match="no space"):
        export_files(str(folder), str(target), replace=True)
    assert target.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"results", target.name}


def test_an_existing_file_is_refused_unless_it_may_be_replaced(results, tmp_path):
    folder, _ = results
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(InputError, match=r"out\.csv exists; .*--replace"):
        export_files(str(folder), str(target))
    assert target.read_text() == "mine"
    assert export_files(str(folder), str(target), replace=True).rows == 110


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("results", "out.xyz", "states no format"),
        ("results", "out", "states no format"),
        ("nowhere", "out.csv", "there are no detections in"),
        ("results/nowhere.parquet", "out.csv", "there is no file"),
        ("results/text.parquet", "out.csv", "is no Parquet file"),
        ("results/other.parquet", "out.csv", "lacks the column class"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(results, tmp_path, source, target, message):
    folder, _ = results
    (folder / "text.parquet").write_text("no Parquet at all, in more than eight bytes")
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    with pytest.raises(InputError, match=message):
        export_files(str(tmp_path / source), str(tmp_path / target))
    assert not (tmp_path / target).exists()


def test_a_query_reads_only_files_and_row_groups_with_matches(results, monkeypatch):
    folder, _ = results
    opened = []
    monkeypatch.setattr(
        "swath.exports.sources.storage.reading",
        lambda uri: opened.append(uri) or pytest.fail("a file without matches was read"),
    )
    assert [*read_files(str(folder), Selection(DetectionFilter(model="zzz")))] == []
    assert opened == []


def test_files_of_earlier_versions_have_no_time(tmp_path):
    table = rows(5).drop_columns(["acquired_at"])
    (tmp_path / "run").mkdir()
    pq.write_table(table, tmp_path / "run/detections.parquet")
    export_files(str(tmp_path / "run"), str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet")["acquired_at"].null_count == 5


def test_duckdb_reads_an_export(results, tmp_path):
    folder, table = results
    export_files(str(folder), str(tmp_path / "out.parquet"))
    ((count, west),) = duckdb.execute(
        "SELECT count(*), min(bbox.xmin) FROM read_parquet(?) WHERE class = 'ship'",
        [str(tmp_path / "out.parquet")],
    ).fetchall()
    ships = table.filter(pa.compute.equal(table["class"].cast(pa.string()), "ship"))
    assert (count, west) == (len(ships), min(row["xmin"] for row in ships["bbox"].to_pylist()))


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    """Check the memory of Arrow and NumPy for ten times the rows."""
    monkeypatch.setattr("swath.detection.spatial_order.MAX_CHUNK_ROWS", 2000)
    monkeypatch.setattr("swath.detection.spatial_order._PART_ROWS", 500)
    monkeypatch.setattr("swath.detection.spatial_order._SAMPLE_ROWS", 20)
    monkeypatch.setattr("swath.detection.geoparquet_file.ROW_GROUP_ROWS", 500)
    peaks = {}
    for count in (3000, 3000, 30_000):  # the first export warms up
        write_run(tmp_path / f"{count}/detections.parquet", count)
        tracemalloc.start()
        export_files(str(tmp_path / str(count)), str(tmp_path / "o.parquet"), replace=True)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[30_000] < 2 * peaks[3000]
    assert Path(tmp_path / "o.parquet").stat().st_size > 30_000 * 100
