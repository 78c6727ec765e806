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

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_KIB_PER_MB = 1e6 / 1024
# Of the first line of /proc/stat: user, nice, system, irq, softirq and steal; not idle and iowait.
_BUSY_FIELDS = (1, 2, 3, 6, 7, 8)
# Of /proc/PID/stat, counted behind the name in parentheses: utime and stime.
_CPU_TIME_FIELDS = (11, 12)


@dataclass(slots=True)
class Meter:
    """Context manager that measures its block."""

    companion_pids: Sequence[int] = ()
    """Ids of other processes whose CPU time belongs to the work, such as a server."""
    wall: float = 0.0
    """Elapsed time in s."""
    cpu: float = 0.0
    """CPU time in s of this process and its children."""
    companion_cpu: float = 0.0
    """CPU time in s of the companions."""
    other_cores: float = 0.0
    """Mean number of cores that other processes used meanwhile."""
    resident_mb: float = 0.0
    """Memory of this process in MB at the start of the block."""
    peak_mb: float = 0.0
    """Maximum memory of this process in MB since then."""

    def __enter__(self) -> Self:
        reset_peak()
        self.resident_mb = resident_memory_mb()
        self.cpu, self.other_cores = -own_cpu_seconds(), -self._other_cpu_seconds()
        self.companion_cpu = -self._companion_cpu_seconds()
        self.wall = -time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wall += time.perf_counter()
        self.cpu += own_cpu_seconds()
        self.companion_cpu += self._companion_cpu_seconds()
        self.peak_mb = peak_memory_mb()
        self.other_cores = max(0.0, self.other_cores + self._other_cpu_seconds()) / self.wall

    def sample(self, **values: Any) -> Sample:
        """Return the measures, for a result file."""
        return {
            "wall": round(self.wall, 5),
            "cpu": round(self.cpu, 3),
            "companion_cpu": round(self.companion_cpu, 3),
            "others": round(self.other_cores, 3),
            "peak_mb": round(self.peak_mb, 1),
            "added_mb": round(self.peak_mb - self.resident_mb, 1),
            **values,
        }

    def _other_cpu_seconds(self) -> float:
        return machine_cpu_seconds() - own_cpu_seconds() - self._companion_cpu_seconds()

    def _companion_cpu_seconds(self) -> float:
        return sum(process_cpu_seconds(pid) for pid in self.companion_pids)


def own_cpu_seconds() -> float:
    """Return the CPU time in s of this process and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def machine_cpu_seconds() -> float:
    """Return the CPU time in s of the whole machine, including time stolen by its host."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[index]) for index in _BUSY_FIELDS) / _TICKS_PER_SECOND


def process_cpu_seconds(pid: int) -> float:
    """Return the CPU time in s of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[index]) for index in _CPU_TIME_FIELDS) / _TICKS_PER_SECOND


def resident_memory_mb() -> float:
    """Return the memory of this process in MB."""
    return _read_memory_mb("VmRSS")


def peak_memory_mb() -> float:
    """Return the maximum memory of this process in MB since `reset_peak`."""
    return _read_memory_mb("VmHWM")


def reset_peak() -> None:
    """Reset the maximum memory of this process, so that it does not include the start."""
    # https://docs.kernel.org/filesystems/proc.html: 5 resets the peak resident set size.
    # Where that is forbidden, the peak is that of the process since its start.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _read_memory_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) / _KIB_PER_MB
