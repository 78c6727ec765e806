"""Return the number of CPUs and the memory that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from swath.settings import MemorySettings

MIB = 1 << 20
_LAMBDA_MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
"""Environment variable in which Lambda states the memory of a function in MiB.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""
_CGROUP_LIMIT_FILES = {
    "": ("sys/fs/cgroup", "memory.max"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
}
"""Folder and file of a memory limit, by the controllers in a line of /proc/self/cgroup.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_limit(root: Path = Path("/")) -> int:
    """Return the memory in bytes that this process may use, which is the least of its limits.

    The limits are the setting `SWATH_MEMORY_MIB`, the memory of a Lambda function, those of control
    groups (containers, Batch jobs) and the memory of the machine.

    Args:
        root: Folder that contains `proc` and `sys`.

    Raises:
        SettingsError: The setting is not a number.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_cgroup_limits(root)]
    if size := os.environ.get(_LAMBDA_MEMORY_VARIABLE, ""):
        limits.append(int(size) * MIB)
    if setting := MemorySettings.from_env().memory_mib:
        limits.append(setting * MIB)
    return min(limits)


def free_memory() -> int:
    """Return the memory in bytes that this process may use in addition to what it uses; at least 0.

    Raises:
        SettingsError: The setting `SWATH_MEMORY_MIB` is not a number.
    """
    return max(0, memory_limit() - _resident_memory())


def _cgroup_limits(root: Path) -> Iterator[int]:
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in _CGROUP_LIMIT_FILES:
                continue
            folder, name = _CGROUP_LIMIT_FILES[controllers]
            own = PurePosixPath(path.lstrip("/"))
            # In a container, the mounted folder is that of its own group, whatever the path is, so
            # all parents of the path are tried.
            for group in (own, *own.parents):
                with suppress(OSError, ValueError):  # ValueError: "max"
                    yield int((root / folder / group / name).read_text())


def _resident_memory() -> int:
    """Return the resident memory of this process in bytes; 0 if the system does not report it."""
    with suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
