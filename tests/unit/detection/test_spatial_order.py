"""Tests of the order along the space-filling curve, in memory and by temporary files."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.detection import spatial_order as module
from swath.detection.spatial_order import SpatialSorter, center_cells, gather_from


def table(cells, seed=0, names=("a", "b")):
    rng, count = np.random.default_rng(seed), len(cells)
    texts = pa.array([names[i % len(names)] for i in range(count)], pa.string())
    return pa.table(
        {
            "class": texts.dictionary_encode(),
            "score": rng.integers(0, 3, count).astype(np.float32),
            "tile": rng.integers(0, 3, count),
            "geometry": pa.array([bytes([i % 256] * (i % 3)) for i in range(count)], pa.binary()),
            "number": np.arange(count),
        }
    )


def sort(tables):
    with SpatialSorter(gather_from) as sorter:
        for rows, cells in tables:
            keys = {
                name: rows[name].to_numpy()
                for name in ("tile", "score")
                if name in rows.column_names
            }
            sorter.add(rows, np.asarray(cells, np.int64), **keys, size=rows.nbytes)
        return pa.concat_tables([*sorter.read_sorted()]).unify_dictionaries()


@given(
    st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=30), min_size=1, max_size=8),
    st.integers(1, 40),
)
def test_temporary_files_change_nothing(chunks, limit):
    tables = [
        (table(cells, seed).append_column("key", pa.array(cells)), cells)
        for seed, cells in enumerate(chunks)
    ]
    expected = sort(tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_CHUNK_ROWS", limit)
        patch.setattr(module, "_SAMPLE_ROWS", 3)
        patch.setattr(module, "_PART_ROWS", 6)
        patch.setattr(module, "_TABLE_ROWS", 5)
        actual = sort(tables)
    assert actual.to_pylist() == expected.to_pylist()
    keys = [(row["key"], row["tile"], -row["score"]) for row in expected.to_pylist()]
    assert keys == sorted(keys)
    everything = pa.concat_tables([rows for rows, _ in tables])
    assert sorted(expected["number"].to_pylist()) == sorted(everything["number"].to_pylist())


def test_names_of_several_files_stay_with_their_rows():
    tables = [(table([3, 1], names=("x", "y")), [3, 1]), (table([2, 0], names=("z",)), [2, 0])]
    assert sort(tables)["class"].to_pylist() == ["z", "y", "z", "x"]


def test_binary_values_of_one_size_stay_what_they_are():
    rows = pa.table({"geometry": pa.array([bytes([i] * 93) for i in range(9)], pa.binary())})
    ordered = sort([(rows.slice(1, 7), range(7, 0, -1))])
    assert ordered.schema.field("geometry").type == pa.binary()
    assert ordered["geometry"].to_pylist() == rows["geometry"].to_pylist()[7:0:-1]


def test_no_temporary_file_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "MAX_CHUNK_ROWS", 2)
    with SpatialSorter(gather_from) as sorter:
        sorter.add(table([1, 2]), np.array([1, 2]), size=99)
        assert [*Path(tmp_path).rglob("*.arrow")]
    assert not [*tmp_path.iterdir()]


def test_no_rows_are_no_rows():
    with SpatialSorter(gather_from) as sorter:
        assert [*sorter.read_sorted()] == []


def test_neighbors_have_near_cells():
    corner = np.array([[10, 10, -170], [50, 50, -20], [10.001, 10.001, -169.99], [50.001] * 3])
    one, same, other = center_cells(corner).tolist()
    assert one == same != other
