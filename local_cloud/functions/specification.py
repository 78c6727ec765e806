"""Define the information about a function that the local cloud needs to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """Deployed version of a function."""

    name: str
    arn: str
    region: str
    handler: str
    """Handler as `module.attribute`, importable from `python_path`."""
    task_root: Path
    python_path: tuple[Path, ...]
    timeout: float
    """Timeout of one invocation in s."""
    memory: int
    """Memory in MiB; stated to the function, but not enforced."""
    log_group: str
    environment: Mapping[str, str]
    """Variables of the template, credentials of the function's role, and the address of AWS."""
    version: str = "$LATEST"
    disk_kib: int | None = None
    """Space for temporary files in KiB; None: the space of the machine."""

    @property
    def key(self) -> tuple[object, ...]:
        """Key of a function or container; invocations with equal keys may share a process."""
        variables = tuple(sorted(self.environment.items()))
        return (self.arn, self.handler, self.task_root, variables, self.disk_kib)


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """Result of an invocation: the handler's output, or the error as Lambda phrases it."""

    payload: bytes
    failed: bool = False
