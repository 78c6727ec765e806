from __future__ import annotations

import pytest

from local_cloud.clock import DEFAULT_FACTOR, Clock
from local_cloud.faults.kinds import FunctionInactive, SlotsTaken, SlowDown, TimeLapse
from local_cloud.faults.registry import FaultRegistry


def test_a_fault_happens_so_many_times_and_is_then_over():
    faults = FaultRegistry()
    number = faults.switch_on(SlowDown(key="scenes", times=2))

    found = [faults.trigger(SlowDown) for _ in range(3)]

    assert [bool(fault) for fault in found] == [True, True, False]
    assert faults.occurrences(number) == 2
    assert faults.current(SlowDown) is None


def test_only_the_fault_that_applies_is_triggered():
    faults = FaultRegistry()
    plan = faults.switch_on(FunctionInactive(function="Plan"))
    merge = faults.switch_on(FunctionInactive(function="Merge"))

    fault = faults.trigger(FunctionInactive, lambda fault: fault.function == "Merge")

    assert fault == FunctionInactive(function="Merge")
    assert (faults.occurrences(plan), faults.occurrences(merge)) == (0, 1)
    assert faults.trigger(SlowDown) is None


def test_a_fault_that_is_off_is_not_triggered():
    faults = FaultRegistry()
    number = faults.switch_on(SlowDown(key="scenes"))
    faults.trigger(SlowDown)

    assert faults.switch_off(number) == 1
    assert faults.trigger(SlowDown) is None
    with pytest.raises(KeyError):
        faults.occurrences(number)


def test_there_are_as_many_slots_as_the_account_has():
    faults = FaultRegistry()
    with faults.lambda_slot() as before:
        number = faults.switch_on(SlotsTaken(slots=2))
        with faults.lambda_slot() as second, faults.lambda_slot() as third:
            pass
        with faults.lambda_slot() as again:
            pass

    assert (before, second, third, again) == (True, True, False, True)
    assert faults.occurrences(number) == 1


def test_waits_are_shortened_and_time_limits_only_by_a_time_lapse():
    faults = FaultRegistry()
    clock = Clock(faults)
    usual = (clock.shorten_wait(120), clock.shorten_timeout(120))
    faults.switch_on(TimeLapse(factor=1200))

    assert usual == (120 / DEFAULT_FACTOR, 120)
    assert (clock.shorten_wait(120), clock.shorten_timeout(120)) == (0.1, 0.1)
