"""Define the information about an endpoint that the local cloud needs to serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """Deployed container of an endpoint."""

    name: str
    """Name of the endpoint."""
    command: tuple[str, ...]
    folder: Path
    python_path: tuple[Path, ...]
    model: str
    """S3 URI of the model archive that is unpacked for the container; empty for none."""
    environment: Mapping[str, str]
    """Variables of the template, and those with which the container reaches the local cloud's
    services."""

    @property
    def key(self) -> tuple[object, ...]:
        """Key of a function or container; invocations with equal keys may share a process."""
        return (self.command, self.folder, self.model, tuple(sorted(self.environment.items())))


@dataclass(frozen=True, slots=True)
class ContainerResponse:
    """Response of a container to one request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """True if SageMaker passes the body on, instead of an error."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful
