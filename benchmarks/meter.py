"""Measure time, CPU time and memory of some work, and the load of other processes."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Sample = dict[str, Any]
"""One measurement of one side: `wall`, `cpu`, `others`, and further values of the side."""

_TICKS = os.sysconf("SC_CLK_TCK")
_KB_A_MB = 1e6 / 1024
# Of the first line of /proc/stat: user, nice, system, irq, softirq and steal; not idle and iowait.
_BUSY = (1, 2, 3, 6, 7, 8)
# Of /proc/PID/stat, counted behind the name in parentheses: utime and stime.
_TIMES = (11, 12)


@dataclass(slots=True)
class Meter:
    """Measures the block that it is entered for."""

    companions: Sequence[int] = ()
    """Processes whose CPU time belongs to the work, though not to this process: a server."""
    wall: float = 0.0
    """s"""
    cpu: float = 0.0
    """s of this process and its children."""
    others: float = 0.0
    """Cores that others kept busy meanwhile, on average."""
    resident: float = 0.0
    """MB that this process held when it began."""
    peak: float = 0.0
    """MB that it held at most since then."""

    def __enter__(self) -> Self:
        reset_peak()
        self.resident = resident_memory()
        self.cpu, self.others = -own_cpu(), -self._others()
        self.wall = -time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wall += time.perf_counter()
        self.cpu += own_cpu()
        self.peak = peak_memory()
        self.others = max(0.0, self.others + self._others()) / self.wall

    def sample(self, **more: Any) -> Sample:
        """Return the measures, for a result file."""
        return {
            "wall": round(self.wall, 5),
            "cpu": round(self.cpu, 3),
            "others": round(self.others, 3),
            "peak_mb": round(self.peak, 1),
            "added_mb": round(self.peak - self.resident, 1),
            **more,
        }

    def _others(self) -> float:
        return machine_cpu() - own_cpu() - sum(process_cpu(pid) for pid in self.companions)


def own_cpu() -> float:
    """Seconds of CPU that this process and its finished children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine_cpu() -> float:
    """Seconds of CPU that the machine has spent on anything; what its host took counts, too."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[place]) for place in _BUSY) / _TICKS


def process_cpu(pid: int) -> float:
    """Seconds of CPU that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place]) for place in _TIMES) / _TICKS


def resident_memory() -> float:
    """MB that this process holds now."""
    return _memory("VmRSS")


def peak_memory() -> float:
    """MB that this process held at most since `reset_peak`."""
    return _memory("VmHWM")


def reset_peak() -> None:
    """Forget what the process held before; what a process took to start is not the work's."""
    # https://docs.kernel.org/filesystems/proc.html: 5 resets the peak resident set size.
    # Where that is forbidden, the peak is that of the process since its start.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1]) / _KB_A_MB
