"""Tests of the counts that a load writes, against PostgreSQL's."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.database import cell_counts
from swath.database.cell_counts import COUNT_COLUMNS, LEVELS, SCORE_EDGES, CellCounts, score_bins
from swath.database.check_summary import check_summary
from swath.database.load import load_run
from tests.helpers.runs import run_request


def sums(connection):
    columns = ", ".join(f"sum({name})::int" for name in COUNT_COLUMNS)
    query = f"SELECT level, class, cell, {columns} FROM swath.run_cells"  # noqa: S608 - constants
    return connection.execute(f"{query} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3").fetchall()


def test_numpy_and_postgresql_put_each_score_in_the_same_bin(connection):
    near = np.concatenate([np.nextafter(SCORE_EDGES, np.float32(way)) for way in (-1, 2)])
    decimals = np.round(np.arange(1001) / 1000, 3).astype(np.float32)
    scores = np.concatenate([SCORE_EDGES, near, decimals, np.float32([-1, 2, np.inf, np.nan])])
    asked = "SELECT swath.score_bin(s) FROM unnest(%s::real[]) WITH ORDINALITY u (s, n) ORDER BY n"
    bins = connection.execute(asked, [scores.tolist()]).fetchall()
    assert [number for (number,) in bins] == score_bins(scores).tolist()
    assert score_bins(np.float32([0.7, 0.9, 0, 1])).tolist() == [7, 9, 0, 9]


@pytest.mark.parametrize("max_keys", [1, 50, 10_000])
def test_the_counts_are_those_of_the_rows(connection, merged, monkeypatch, max_keys):
    """Check counts that are written once, and counts that are written in several parts."""
    monkeypatch.setattr(cell_counts, "_MAX_KEYS", max_keys)
    load_run(connection, run_request(), merged(170))
    assert check_summary(connection).differences == 0
    rows = sums(connection)
    for level in LEVELS:
        assert sum(sum(row[3:]) for row in rows if row[0] == level) == 170


def test_a_run_without_detections_has_no_counts(connection, merged):
    load_run(connection, run_request(), merged(0))
    assert sums(connection) == []
    assert check_summary(connection).differences == 0


def test_memory_does_not_grow_with_the_number_of_detections(connection, monkeypatch):
    monkeypatch.setattr(cell_counts, "_MAX_KEYS", 500)
    counts, rng = CellCounts(), np.random.default_rng(1)
    for _ in range(50):
        cells = rng.integers(0, 30, 1000) << 28
        counts.add(cells, np.zeros(1000, np.int16), rng.random(1000, np.float32))
        assert sum(map(len, counts._keys)) < 1000
        assert not counts.is_full


NUMBERS = st.tuples(
    st.integers(0, (1 << 52) - 1), st.integers(1, 32_767), st.floats(0, 1, width=32)
)


@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(rows=st.lists(NUMBERS, max_size=30))
def test_counts_equal_those_of_python(connection, rows):
    connection.execute("DELETE FROM swath.run_cells")
    counts = CellCounts()
    for part in (rows[::2], rows[1::2]):
        cells, classes, scores = zip(*part, strict=True) if part else ((), (), ())
        counts.add(np.array(cells, "i8"), np.array(classes, "i2"), np.array(scores, "f4"))
    counts.write(connection, 1)
    expected = {}
    for cell, number, score in rows:
        score_bin = sum(score >= edge for edge in SCORE_EDGES)
        for level in LEVELS:
            key = (level, number, cell >> 2 * (26 - level))
            expected.setdefault(key, [0] * 10)[score_bin] += 1
    assert sums(connection) == [(*key, *expected[key]) for key in sorted(expected)]
    connection.rollback()
