"""Hold the faults that are on in a local cloud's process."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from local_cloud.faults.kinds import Fault, SlotsTaken

F = TypeVar("F", bound=Fault)


@dataclass
class _Switch:
    fault: Fault
    met: int = 0

    @property
    def left(self) -> bool:
        return self.fault.times is None or self.met < self.fault.times


class Faults:
    """Thread-safe registry of faults by number, with how often each occurred."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._switches: dict[int, _Switch] = {}
        self._slots_used = 0

    def switch_on(self, fault: Fault) -> int:
        """Switch a fault on; return its number."""
        with self._lock:
            number = next(self._numbers)
            self._switches[number] = _Switch(fault)
            return number

    def switch_off(self, number: int) -> int:
        """Switch a fault off; return how often it occurred.

        Raises:
            KeyError: There is no such fault.
        """
        with self._lock:
            return self._switches.pop(number).met

    def met(self, number: int) -> int:
        """Return how often a fault has occurred so far.

        Raises:
            KeyError: There is no such fault.
        """
        with self._lock:
            return self._switches[number].met

    def on(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that is on, or None, without counting an occurrence."""
        with self._lock:
            found = (s.fault for s in self._switches.values() if s.left)
            return next((fault for fault in found if isinstance(fault, kind)), None)

    def meet(self, kind: type[F], fits: Callable[[F], bool] = lambda _fault: True) -> F | None:
        """Return the fault of a kind that occurs now, or None; the occurrence is counted."""
        with self._lock:
            for switch in self._switches.values():
                if switch.left and isinstance(switch.fault, kind) and fits(switch.fault):
                    switch.met += 1
                    return switch.fault
            return None

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Hold one of the account's Lambda slots for the block; yield whether one was free."""
        with self._lock:
            full = [
                switch
                for switch in self._switches.values()
                if isinstance(switch.fault, SlotsTaken) and self._slots_used >= switch.fault.slots
            ]
            for switch in full:
                switch.met += 1
            self._slots_used += not full
        try:
            yield not full
        finally:
            with self._lock:
                self._slots_used -= not full
