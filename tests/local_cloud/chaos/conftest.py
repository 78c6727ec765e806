"""`--seed` plays some scenarios; a table at the end tells what was drawn and what came of it."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import pytest

from tests.fuzzing import draws
from tests.local_cloud.chaos.runner import Played
from tests.local_cloud.chaos.scenarios import CHOSEN, Scenario


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", help="play the scenarios of these seeds only: 17, or 17,43")
    parser.addoption("--scenarios", type=int, help="how many scenarios to play")
    parser.addoption("--first", type=int, default=1, help="the first seed of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed", None)
        many = metafunc.config.getoption("--scenarios", None) or draws(0, fuzz=200)
        first = metafunc.config.getoption("--first", 1)
        seeds = range(first, first + many) if many else CHOSEN
        metafunc.parametrize("seed", [int(n) for n in one.split(",")] if one else seeds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for name in ("passed", "failed") for r in terminalreporter.getreports(name)]
    if not any(name == "chaos" for r in reports for name, _ in r.user_properties):
        return
    ended = [pair for r in reports for name, pair in r.user_properties if name == "chaos"]
    counts = collections.Counter(word for pair in ended for word in _words(*pair))
    for word, number in sorted(counts.items()):
        terminalreporter.write_line(f"{number:5} {word}")


def _words(scenario: Scenario, played: Played) -> Iterator[str]:
    yield f"backend {scenario.backend}"
    yield from (f"fault {type(fault).__name__}" for fault in scenario.faults)
    yield from (f"action {action}" for action, _ in scenario.actions)
    yield from (f"run {status}" for status in played.statuses)
    yield from ["process killed"] * played.killed
    yield from ["run healed"] * played.healed
    yield from (f"cause {cause[:160]}" for cause in played.causes)
    yield f"scenario {'wrong' if played.wrong else 'right'}"
