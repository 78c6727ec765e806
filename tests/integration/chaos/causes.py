"""The expected causes of a failed run, for each thing that may have gone wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.integration.chaos.scenarios import Scenario

WORDS: Mapping[str, str] = {
    "SlowDown": r"SlowDown|reduce your request rate",
    "ConnectionBroken": r"[Cc]onnection (was )?(broken|closed|reset)|IncompleteRead|cannot be read",
    "DatabasePaused": r"database",
    "DatabaseRestarted": r"database",
    "DiskFull": r"No space left on device",
    "SpotReclaimed": r"Host EC2|exit code 143",
    "JobOutOfMemory": r"OutOfMemory",
    "kill": r"signal: 9|exit code 137|Runtime\.ExitError|ended|closed",
    "cut": r"database",
    "delete": "{spoiled}",
    "damage": "{spoiled}",
}
"""Patterns, by faults and actions. What is not here a run has to survive."""
UNTRUE = "tolerated failure threshold"


def is_true(scenario: Scenario, said: str, damaged: Iterable[str]) -> bool:
    """Return whether a failed run's error and cause name something that went wrong with it.

    Args:
        scenario: what went wrong.
        said: error and cause.
        spoiled: keys of the objects that were deleted or damaged.
    """
    happened = {type(fault).__name__ for fault in scenario.faults}
    happened |= {action for action, _ in scenario.actions}
    files = "|".join(re.escape(key.rpartition("/")[2]) for key in damaged if key) or "(?!)"
    patterns = [WORDS[what].replace("{spoiled}", files) for what in happened if what in WORDS]
    return UNTRUE not in said and any(re.search(pattern, said) for pattern in patterns)
