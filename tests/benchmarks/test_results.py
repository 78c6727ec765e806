import json

import pytest

from benchmarks.figures import FIGURES, Figure
from benchmarks.results import read_results, result
from benchmarks.table import make_table, plain_lines, update_page

SAMPLES = [{"swath": {"wall": 1.0, "others": 0.0}}]


def test_a_result_file_holds_what_was_agreed_and_no_more(tmp_path):
    result("merge_sahi", 30.123456, SAMPLES).write(tmp_path)
    found = json.loads((tmp_path / "merge_sahi.json").read_text())
    assert set(found) == {"name", "value", "goal", "better", "samples", "machine"}
    assert (found["name"], found["value"], found["goal"]) == ("merge_sahi", 30.12, 25)
    assert found["better"] == "higher"
    assert found["samples"] == SAMPLES


def test_a_machine_is_described_without_its_name():
    machine = result("merge_sahi", 1, []).machine
    assert machine["cores"] >= 1
    assert {"numpy", "gdal"} <= set(machine["libraries"])
    assert not {"host", "hostname", "node"} & set(machine)


def test_results_are_read_back(tmp_path):
    written = result("plan_time", 2.5, SAMPLES)
    written.write(tmp_path)
    assert read_results(tmp_path) == {"plan_time": written}


def test_no_figure_without_a_name_of_its_own_and_a_goal():
    assert len(FIGURES) == len({figure.what for figure in FIGURES.values()})
    assert all(figure.goal > 0 for figure in FIGURES.values())


@pytest.mark.parametrize(
    ("better", "value", "met"),
    [("higher", 2, True), ("higher", 1.9, False), ("lower", 2, True), ("lower", 2.1, False)],
)
def test_a_goal_is_met_from_its_own_side(better, value, met):
    assert Figure("x", "x", 2, better).met(value) == met


def test_the_table_has_a_row_for_each_figure():
    table = make_table({"merge_sahi": result("merge_sahi", 30.1234, SAMPLES)})
    assert "| 30.1 | ≥ 25 | met |" in table
    assert table.count("| not measured |") == len(FIGURES) - 1
    assert "Measured on" in table
    assert make_table({"plan_time": result("plan_time", 7, [])}).count("| 7 s | ≤ 5 s | missed |")


def test_the_page_changes_between_its_marks_only(tmp_path):
    page = tmp_path / "page.md"
    marks = "<!-- results: written by make bench -->\n{}<!-- end of results -->\n"
    page.write_text("before\n" + marks.format("old\n") + "after\n")
    for _ in range(2):
        update_page({}, page)
    text = page.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("-->\nafter\n")
    assert text.count("| what |") == 1
    assert "old" not in text


def test_a_page_without_marks_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="needs the lines"):
        update_page({}, page)


def test_a_terminal_is_told_what_was_missed():
    lines = plain_lines([result("plan_time", 7, []), result("plan_memory", 200, [])])
    assert "MISSED" in lines[0]
    assert "MISSED" not in lines[1]
