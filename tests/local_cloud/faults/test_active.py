from __future__ import annotations

import pytest

from local_cloud.clock import FACTOR, Clock
from local_cloud.faults.active import Faults
from local_cloud.faults.kinds import FunctionInactive, SlotsTaken, SlowDown, TimeLapse


def test_a_fault_happens_so_many_times_and_is_then_over():
    faults = Faults()
    number = faults.switch_on(SlowDown(key="scenes", times=2))

    found = [faults.meet(SlowDown) for _ in range(3)]

    assert [bool(fault) for fault in found] == [True, True, False]
    assert faults.met(number) == 2
    assert faults.on(SlowDown) is None


def test_only_the_fault_that_fits_is_met():
    faults = Faults()
    plan = faults.switch_on(FunctionInactive(function="Plan"))
    merge = faults.switch_on(FunctionInactive(function="Merge"))

    met = faults.meet(FunctionInactive, lambda fault: fault.function == "Merge")

    assert met == FunctionInactive(function="Merge")
    assert (faults.met(plan), faults.met(merge)) == (0, 1)
    assert faults.meet(SlowDown) is None


def test_a_fault_that_is_off_is_not_met():
    faults = Faults()
    number = faults.switch_on(SlowDown(key="scenes"))
    faults.meet(SlowDown)

    assert faults.switch_off(number) == 1
    assert faults.meet(SlowDown) is None
    with pytest.raises(KeyError):
        faults.met(number)


def test_there_are_as_many_slots_as_the_account_has():
    faults = Faults()
    with faults.slot() as before:
        number = faults.switch_on(SlotsTaken(slots=2))
        with faults.slot() as second, faults.slot() as third:
            pass
        with faults.slot() as again:
            pass

    assert (before, second, third, again) == (True, True, False, True)
    assert faults.met(number) == 1


def test_waits_are_shortened_and_time_limits_only_by_a_time_lapse():
    faults = Faults()
    clock = Clock(faults)
    usual = (clock.wait(120), clock.limit(120))
    faults.switch_on(TimeLapse(factor=1200))

    assert usual == (120 / FACTOR, 120)
    assert (clock.wait(120), clock.limit(120)) == (0.1, 0.1)
