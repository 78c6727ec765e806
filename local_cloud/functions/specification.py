"""What the local cloud needs to know of a function to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One version of one function, as deployed."""

    name: str
    arn: str
    region: str
    handler: str
    """`module.attribute`, found on `python_path`."""
    task_root: Path
    python_path: tuple[Path, ...]
    timeout: float
    """Seconds that one invocation may take."""
    memory: int
    """MiB; told to the function, not enforced."""
    log_group: str
    environment: Mapping[str, str]
    """Variables of the template, credentials of the function's role, and the address of AWS."""
    version: str = "$LATEST"
    disk_kib: int | None = None
    """Space for temporary files; None for what the machine has."""

    @property
    def key(self) -> tuple[object, ...]:
        """Two invocations may share a process exactly if this is equal."""
        variables = tuple(sorted(self.environment.items()))
        return (self.arn, self.handler, self.task_root, variables, self.disk_kib)


@dataclass(frozen=True, slots=True)
class Response:
    """What an invocation gave: the handler's answer, or the error as Lambda words it."""

    payload: bytes
    failed: bool = False
