"""Describe the machine of the measurements, without its name."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "numpy",
    "rasterio",
    "imagecodecs",
    "onnxruntime",
    "torch",
    "shapely",
    "pyarrow",
    "sahi",
    "lsnms",
)


def describe_machine() -> dict[str, Any]:
    """Return the CPU, cores, memory, system, Python and the versions of the libraries."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    versions = {
        name: importlib.metadata.version(name)
        for name in _LIBRARIES
        if importlib.util.find_spec(name) is not None
    }
    return versions | _gdal()


def _gdal() -> dict[str, str]:
    if importlib.util.find_spec("rasterio") is None:
        return {}
    import rasterio  # noqa: PLC0415 (half a second that only this line needs)

    return {"gdal": str(rasterio.__gdal_version__)}
