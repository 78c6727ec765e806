"""Run your model on satellite scenes, on a laptop or on AWS, with the same result.

The public API is what `__all__` names; docs/python.md shows its use. `import swath` imports none of
the libraries that do the work: a name is imported when it is first used.
"""

from __future__ import annotations

from swath.observability import telemetry
from swath.observability.version import __version__

# Before any library is imported that would report.
telemetry.switch_off()

# Type checkers take the name for true; `typing` itself would more than double the import's time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from swath._api import detect, evaluate, load_model, open_scene, run, train
    from swath.detection.result import Detections
    from swath.errors import (
        GateError,
        InputError,
        LabelsError,
        ModelOutputError,
        ModelTimeoutError,
        NoGpuError,
        OutOfMemoryError,
        PackageError,
        RunIncompleteError,
        SceneChangedError,
        SceneError,
        SettingsError,
        SwathError,
        TrainingError,
        TrainingInterruptedError,
        TransientError,
    )

__all__ = [
    "Detections",
    "GateError",
    "InputError",
    "LabelsError",
    "ModelOutputError",
    "ModelTimeoutError",
    "NoGpuError",
    "OutOfMemoryError",
    "PackageError",
    "RunIncompleteError",
    "SceneChangedError",
    "SceneError",
    "SettingsError",
    "SwathError",
    "TrainingError",
    "TrainingInterruptedError",
    "TransientError",
    "__version__",
    "detect",
    "evaluate",
    "load_model",
    "open_scene",
    "run",
    "train",
]

_MODULES = {"Detections": "swath.detection.result"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    from swath.errors.extras import name_missing_extra  # noqa: PLC0415 (when it is first used)

    module = "swath.errors" if name.endswith("Error") else _MODULES.get(name, "swath._api")
    value = getattr(name_missing_extra(importlib.import_module)(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
