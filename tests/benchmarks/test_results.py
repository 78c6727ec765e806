import json

import pytest

from benchmarks.metrics import METRICS, Metric
from benchmarks.results import make_result, read_results
from benchmarks.table import make_table, terminal_lines, update_page

SAMPLES = [{"swath": {"wall": 1.0, "others": 0.0}}]


def test_a_result_file_holds_what_was_agreed_and_no_more(tmp_path):
    make_result("merge_sahi", 30.123456, SAMPLES).write(tmp_path)
    result = json.loads((tmp_path / "merge_sahi.json").read_text())
    assert set(result) == {"name", "value", "goal", "better", "samples", "machine"}
    assert (result["name"], result["value"], result["goal"]) == ("merge_sahi", 30.12, 25)
    assert result["better"] == "higher"
    assert result["samples"] == SAMPLES


def test_a_machine_is_described_without_its_name():
    machine = make_result("merge_sahi", 1, []).machine
    assert machine["cores"] >= 1
    assert {"numpy", "gdal"} <= set(machine["libraries"])
    assert not {"host", "hostname", "node"} & set(machine)


def test_results_are_read_back(tmp_path):
    written = make_result("plan_time", 2.5, SAMPLES)
    written.write(tmp_path)
    assert read_results(tmp_path) == {"plan_time": written}


def test_no_figure_without_a_name_of_its_own_and_a_goal():
    assert len(METRICS) == len({metric.description for metric in METRICS.values()})
    assert all(metric.goal > 0 for metric in METRICS.values())


@pytest.mark.parametrize(
    ("better", "value", "is_met"),
    [("higher", 2, True), ("higher", 1.9, False), ("lower", 2, True), ("lower", 2.1, False)],
)
def test_a_goal_is_met_from_its_own_side(better, value, is_met):
    assert Metric("x", "x", 2, better).is_met(value) == is_met


def test_the_table_has_a_row_for_each_figure():
    table = make_table({"merge_sahi": make_result("merge_sahi", 30.1234, SAMPLES)})
    assert "| 30.1 | ≥ 25 | met |" in table
    assert table.count("| not measured |") == len(METRICS) - 1
    assert "Measured on" in table
    assert make_table({"plan_time": make_result("plan_time", 7, [])}).count(
        "| 7 s | ≤ 5 s | missed |"
    )


def test_the_page_changes_between_its_marks_only(tmp_path):
    page = tmp_path / "page.md"
    marks = "<!-- results: written by make bench -->\n{}<!-- end of results -->\n"
    page.write_text("before\n" + marks.format("old\n") + "after\n")
    for _ in range(2):
        update_page({}, page)
    text = page.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("-->\nafter\n")
    assert text.count("| metric |") == 1
    assert "old" not in text


def test_a_page_without_marks_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="needs the lines"):
        update_page({}, page)


def test_a_terminal_shows_which_goals_were_missed():
    lines = terminal_lines([make_result("plan_time", 7, []), make_result("plan_memory", 200, [])])
    assert "MISSED" in lines[0]
    assert "MISSED" not in lines[1]
