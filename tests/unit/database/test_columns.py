"""Tests of the rows of a GeoParquet file."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from swath.database.columns import class_names, encode_batch
from swath.database.copy_rows import copy_rows
from swath.database.measures import measure

CLASSES = {"ship": 3, "boat": 7, "": 9}
TEXTS = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


def batch(names, geometry=None):
    """Return columns of detections with these class names."""
    geometry = shapely.box(1, 2, 3, 4) if geometry is None else geometry
    return [
        pa.array(names, pa.string()),
        pa.array(np.linspace(0, 1, len(names)), pa.float32()),
        pa.array(range(len(names)), pa.int64()),
        pa.array([shapely.to_wkb(geometry, byte_order=1)] * len(names), pa.binary()),
    ]


def expected(names):
    wkb = shapely.to_wkb(shapely.box(1, 2, 3, 4), byte_order=1) * len(names)
    buffer, lengths = np.frombuffer(wkb, np.uint8), np.full(len(names), 93)
    measures = measure(buffer, lengths)
    columns = {
        "run": 5,
        "class": np.array([CLASSES[name] for name in names], np.int16),
        "score": np.linspace(0, 1, len(names)),
        "tile": np.arange(len(names)),
        "cell": measures.cell,
        "area_m2": measures.area_m2,
        "length_m": measures.length_m,
    }
    return copy_rows(columns, buffer, lengths).tobytes()


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("names", [[], ["ship"], ["boat", "", "ship", "boat"]])
def test_classes_may_be_encoded_in_any_way(kind, names):
    text, *others = batch(names)
    assert encode_batch(5, CLASSES, text.cast(kind), *others).tobytes() == expected(names)


def test_a_slice_of_a_column_is_as_good_as_a_column():
    names = ["boat", "ship", "", "ship"]
    sliced = [column[1:] for column in batch(names)]
    whole = [pa.concat_arrays([column[1:2], column[2:]]) for column in batch(names)]
    np.testing.assert_array_equal(
        encode_batch(5, CLASSES, *sliced), encode_batch(5, CLASSES, *whole)
    )


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_value_is_refused(missing):
    given = batch(["ship"] * 2)
    given[missing] = pa.concat_arrays([given[missing][:1], pa.nulls(1, given[missing].type)])
    with pytest.raises(ValueError, match="1 of 2 values are missing"):
        encode_batch(5, CLASSES, *given)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [(shapely.Polygon(), "is empty"), (shapely.Point(1, 2, 3), "WKB")],
)
def test_a_geometry_that_cannot_be_measured_is_refused(geometry, message):
    with pytest.raises(ValueError, match=message):
        encode_batch(5, CLASSES, *batch(["ship"], geometry))


@pytest.mark.parametrize("kind", TEXTS)
def test_the_names_are_those_of_the_detections(tmp_path, kind):
    names = pa.array(["boat", "", "boat", "ship"]).cast(kind)
    pq.write_table(pa.table({"class": names}), tmp_path / "x", row_group_size=2)
    with pq.ParquetFile(tmp_path / "x") as file:
        assert class_names(file) == {"boat", "", "ship"}


def test_a_detection_without_a_class_is_refused(tmp_path):
    pq.write_table(pa.table({"class": pa.array(["boat", None])}), tmp_path / "x")
    with pq.ParquetFile(tmp_path / "x") as file, pytest.raises(ValueError, match="no class"):
        class_names(file)
