import itertools

import pytest

from benchmarks import harness
from benchmarks.harness import Patience, clean_rounds, compare, is_clean, median, only, ratio
from benchmarks.meter import Meter, machine_cpu, own_cpu, peak_memory, resident_memory


def rounds(*walls, others=0.0):
    return [{"a": {"wall": a, "others": 0.0}, "b": {"wall": b, "others": others}} for a, b in walls]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(harness, "_LOOK", 0.001)
    monkeypatch.setattr(harness, "PATIENCE", Patience(0))


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The second round ran on a slow clock: both sides took ten times as long.
    assert ratio(rounds((2, 1), (30, 10), (2, 0.5)), "a", "b") == 3


def test_rounds_that_others_spoilt_do_not_count():
    found = rounds((2, 1), (2, 1)) + rounds((90, 1), (80, 1), (70, 1), others=0.9)
    assert ratio(found, "a", "b") == 2
    assert median(found, "a") == 2
    assert [is_clean(one) for one in found] == [True, True, False, False, False]


def test_if_others_spoilt_all_all_count():
    found = rounds((2, 1), (4, 1), (6, 1), others=0.9)
    assert clean_rounds(found) == found
    assert ratio(found, "a", "b") == 4


def test_only_the_sides_of_a_figure_are_kept():
    assert only(rounds((2, 1)), "b") == [{"b": {"wall": 1, "others": 0.0}}]


def test_sides_take_turns():
    turns = []

    def side(name):
        turns.append(name)
        return {"wall": 1.0, "others": 0.0}

    sides = {name: lambda name=name: side(name) for name in "ab"}
    done = compare(sides, rounds=3)
    assert turns == ["a", "b"] * 3
    assert len(done) == 3


def test_rounds_are_added_for_those_that_others_spoilt():
    others = itertools.chain([0.5, 0.5], itertools.repeat(0.0))
    sides = {"a": lambda: {"wall": 1.0, "others": next(others)}}
    done = compare(sides, rounds=2)
    assert [sample["a"]["others"] for sample in done] == [0.5, 0.5, 0.0, 0.0]


def test_but_not_for_ever():
    sides = {"a": lambda: {"wall": 1.0, "others": 1.0}}
    assert len(compare(sides, rounds=2, budget=0)) == 2
    assert len(compare(sides, rounds=2, quick=True)) == 1


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(harness, "_others", lambda: 2.0)
    patience = Patience(left=0.02, at_once=0.01)
    for _ in range(5):
        patience.wait()
    assert patience.left <= 0


def test_a_meter_tells_wall_from_cpu():
    with Meter() as meter:
        until = own_cpu() + 0.05
        while own_cpu() < until:
            pass
    sample = meter.sample(tiles=3)
    assert sample["tiles"] == 3
    assert sample["cpu"] >= 0.05
    assert sample["wall"] > 0
    assert sample["peak_mb"] >= sample["added_mb"]


def test_what_a_process_uses_is_part_of_what_the_machine_uses():
    assert machine_cpu() > own_cpu() > 0
    assert peak_memory() >= resident_memory() * 0.99 > 1
