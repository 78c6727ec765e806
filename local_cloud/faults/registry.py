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
class _Entry:
    fault: Fault
    occurrences: int = 0

    @property
    def can_occur(self) -> bool:
        return self.fault.times is None or self.occurrences < self.fault.times


class FaultRegistry:
    """Thread-safe registry of faults by number, with how often each occurred."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: dict[int, _Entry] = {}
        self._used_slots = 0

    def switch_on(self, fault: Fault) -> int:
        """Switch a fault on; return its number."""
        with self._lock:
            number = next(self._numbers)
            self._entries[number] = _Entry(fault)
            return number

    def switch_off(self, number: int) -> int:
        """Switch a fault off; return how often it occurred.

        Raises:
            KeyError: There is no such fault.
        """
        with self._lock:
            return self._entries.pop(number).occurrences

    def occurrences(self, number: int) -> int:
        """Return how often a fault has occurred so far.

        Raises:
            KeyError: There is no such fault.
        """
        with self._lock:
            return self._entries[number].occurrences

    def current(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that is on, or None, without counting an occurrence."""
        with self._lock:
            faults = (entry.fault for entry in self._entries.values() if entry.can_occur)
            return next((fault for fault in faults if isinstance(fault, kind)), None)

    def trigger(
        self, kind: type[F], applies: Callable[[F], bool] = lambda _fault: True
    ) -> F | None:
        """Return the fault of a kind that occurs now, or None; the occurrence is counted."""
        with self._lock:
            for entry in self._entries.values():
                if entry.can_occur and isinstance(entry.fault, kind) and applies(entry.fault):
                    entry.occurrences += 1
                    return entry.fault
            return None

    @contextlib.contextmanager
    def lambda_slot(self) -> Iterator[bool]:
        """Hold one of the account's Lambda slots for the block; yield whether one was free."""
        with self._lock:
            full = [
                entry
                for entry in self._entries.values()
                if isinstance(entry.fault, SlotsTaken) and self._used_slots >= entry.fault.slots
            ]
            for entry in full:
                entry.occurrences += 1
            self._used_slots += not full
        try:
            yield not full
        finally:
            with self._lock:
                self._used_slots -= not full
