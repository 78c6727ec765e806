"""A cause is true where it names what went wrong, and only then."""

from __future__ import annotations

import pytest

from local_cloud.faults.kinds import DiskFull, EventLate, Fault
from tests.integration.chaos.causes import is_true
from tests.integration.chaos.scenarios import Scenario

FULL = DiskFull(process="PlanScene", kib=4)
DISK = "OSError: [Errno 28] No space left on device"
PLAN = "PayloadError: s3://work/runs/1/plan.json is damaged"
THRESHOLD = "States.X: The specified tolerated failure threshold was exceeded"


@pytest.mark.parametrize(
    ("fault", "action", "said", "true"),
    [
        (FULL, "double", DISK, True),
        (FULL, "double", PLAN, False),
        (FULL, "double", f"{THRESHOLD}; {DISK}", False),
        (FULL, "damage", PLAN, True),
        (FULL, "damage", "PayloadError: it is damaged", False),
        (EventLate(seconds=1), "double", DISK, False),
        (EventLate(seconds=1), "kill", "Runtime exited with error: signal: 9", True),
    ],
)
def test_a_cause_names_the_fault(fault: Fault, action: str, said: str, true: bool):
    scenario = Scenario(1, "lambda", (0,), (fault,), ((action, 1),))

    assert is_true(scenario, said, ["runs/1/plan.json"]) is true
