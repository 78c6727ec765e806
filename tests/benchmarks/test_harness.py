import itertools

import pytest

from benchmarks import harness
from benchmarks.harness import (
    QuietWait,
    compare,
    is_undisturbed,
    median,
    ratio,
    select_sides,
    undisturbed_rounds,
)
from benchmarks.meter import (
    Meter,
    machine_cpu_seconds,
    own_cpu_seconds,
    peak_memory_mb,
    resident_memory_mb,
)


def rounds(*times, others=0.0):
    return [{"a": {"wall": a, "others": 0.0}, "b": {"wall": b, "others": others}} for a, b in times]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(harness, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(harness, "QUIET_WAIT", QuietWait(0))


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The second round ran on a slow clock: both sides took ten times as long.
    assert ratio(rounds((2, 1), (30, 10), (2, 0.5)), "a", "b") == 3


def test_rounds_that_others_spoilt_do_not_count():
    found = rounds((2, 1), (2, 1)) + rounds((90, 1), (80, 1), (70, 1), others=0.9)
    assert ratio(found, "a", "b") == 2
    assert median(found, "a") == 2
    assert [is_undisturbed(round_) for round_ in found] == [True, True, False, False, False]


def test_if_others_spoilt_all_all_count():
    found = rounds((2, 1), (4, 1), (6, 1), others=0.9)
    assert undisturbed_rounds(found) == found
    assert ratio(found, "a", "b") == 4


def test_only_the_sides_of_a_figure_are_kept():
    assert select_sides(rounds((2, 1)), "b") == [{"b": {"wall": 1, "others": 0.0}}]


def test_sides_take_turns():
    turns = []

    def side(name):
        turns.append(name)
        return {"wall": 1.0, "others": 0.0}

    sides = {name: lambda name=name: side(name) for name in "ab"}
    completed = compare(sides, rounds=3)
    assert turns == ["a", "b"] * 3
    assert len(completed) == 3


def test_rounds_are_added_for_those_that_others_spoilt():
    others = itertools.chain([0.5, 0.5], itertools.repeat(0.0))
    sides = {"a": lambda: {"wall": 1.0, "others": next(others)}}
    completed = compare(sides, rounds=2)
    assert [sample["a"]["others"] for sample in completed] == [0.5, 0.5, 0.0, 0.0]


def test_but_not_for_ever():
    sides = {"a": lambda: {"wall": 1.0, "others": 1.0}}
    assert len(compare(sides, rounds=2, max_seconds=0)) == 2
    assert len(compare(sides, rounds=2, quick=True)) == 1


def test_the_wait_for_a_quiet_machine_ends(monkeypatch):
    monkeypatch.setattr(harness, "_measure_other_cores", lambda: 2.0)
    quiet_wait = QuietWait(remaining_seconds=0.02, max_wait_seconds=0.01)
    for _ in range(5):
        quiet_wait.wait_until_quiet()
    assert quiet_wait.remaining_seconds <= 0


def test_a_meter_measures_wall_and_cpu_time():
    with Meter() as meter:
        until = own_cpu_seconds() + 0.05
        while own_cpu_seconds() < until:
            pass
    sample = meter.sample(tiles=3)
    assert sample["tiles"] == 3
    assert sample["cpu"] >= 0.05
    assert sample["wall"] > 0
    assert sample["peak_mb"] >= sample["added_mb"]


def test_what_a_process_uses_is_part_of_what_the_machine_uses():
    assert machine_cpu_seconds() > own_cpu_seconds() > 0
    assert peak_memory_mb() >= resident_memory_mb() * 0.99 > 1
