"""The faults that are switched on in a local cloud's process."""

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
    """Faults by number, and how often each was met. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._switches: dict[int, _Switch] = {}
        self._slots_used = 0

    def switch_on(self, fault: Fault) -> int:
        """Let the fault happen from now on; return its number."""
        with self._lock:
            number = next(self._numbers)
            self._switches[number] = _Switch(fault)
            return number

    def switch_off(self, number: int) -> int:
        """Let the fault happen no more; return how often it was met.

        Raises:
            KeyError: there is no such fault.
        """
        with self._lock:
            return self._switches.pop(number).met

    def met(self, number: int) -> int:
        """Return how often a fault was met so far.

        Raises:
            KeyError: there is no such fault.
        """
        with self._lock:
            return self._switches[number].met

    def on(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that is on, without meeting it."""
        with self._lock:
            found = (s.fault for s in self._switches.values() if s.left)
            return next((fault for fault in found if isinstance(fault, kind)), None)

    def meet(self, kind: type[F], fits: Callable[[F], bool] = lambda _fault: True) -> F | None:
        """Return the fault of a kind that happens now, or None; it counts as met."""
        with self._lock:
            for switch in self._switches.values():
                if switch.left and isinstance(switch.fault, kind) and fits(switch.fault):
                    switch.met += 1
                    return switch.fault
            return None

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Hold one of the account's Lambda slots for the block; yield whether there was one."""
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
