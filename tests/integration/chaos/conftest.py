"""`--seed` plays some scenarios; a table at the end counts draws and outcomes."""

from __future__ import annotations

import collections

import pytest

from tests.helpers.fuzzing import FUZZING, draws
from tests.integration.chaos.scenarios import CHOSEN


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
    words = (word for r in reports for name, word in r.user_properties if name == "chaos")
    for word, number in sorted(collections.Counter(words).items()) if FUZZING else []:
        terminalreporter.write_line(f"{number:5} {word}")
