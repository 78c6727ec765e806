"""Define pytest plugins that record the durations of tests and select tests."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DURATIONS_VARIABLE = "SWATH_MUTATION_DURATIONS"
"""Environment variable with the path of the file to which the main process writes durations."""
_MIN_TIMEOUT_SECONDS = 20
_TIMEOUT_FACTOR = 10
"""Timeout of a test as a multiple of its duration without a mutant."""
_durations: dict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the phases of a test; one that does not pass has no duration."""
    _durations[report.nodeid] += report.duration if report.outcome == "passed" else float("nan")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the durations, in the process that all tests report to."""
    path = os.environ.get(DURATIONS_VARIABLE)
    if path and not hasattr(session.config, "workerinput"):
        Path(path).write_text(json.dumps(_durations))


@dataclass(eq=False)  # pytest puts plugins into sets
class Selection:
    """Run these tests only, in this order, and stop each that hangs.

    Attributes:
        durations: seconds of each test unmutated, by node id, in the order to run them.
        failed: node id of the first test that failed, or of the file that could not be imported.
        message: the end of its report.
        passed: how many tests have passed.
    """

    durations: dict[str, float]
    failed: str = ""
    message: str = ""
    passed: int = 0
    _failures: list[str] = field(default_factory=list)

    def pytest_configure(self) -> None:
        """Disable the search for smaller counterexamples: one is enough."""
        # Not before pytest has had the chance to rewrite its assertions.
        import hypothesis  # noqa: PLC0415

        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile(
            "mutation", hypothesis.settings.get_profile("swath"), phases=phases, database=None
        )
        hypothesis.settings.load_profile("mutation")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests in the order of the selection."""
        chosen = {item.nodeid: item for item in items if item.nodeid in self.durations}
        items[:] = [chosen[name] for name in self.durations if name in chosen]
        for item in items:
            limit = max(_MIN_TIMEOUT_SECONDS, _TIMEOUT_FACTOR * self.durations[item.nodeid])
            item.add_marker(pytest.mark.timeout(limit, method="signal"), append=False)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a module that cannot be imported as a failed test."""
        if report.failed:
            self._fail(report.nodeid, report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first failure."""
        if report.failed:
            self._fail(report.nodeid, report.longreprtext)
        elif report.when == "call" and report.passed:
            self.passed += 1

    def _fail(self, name: str, text: str) -> None:
        if not self.failed:
            lines = [line for line in text.splitlines() if line.startswith("E ")]
            self.failed, self.message = name, "\n".join(lines[-3:] or text.splitlines()[-2:])
