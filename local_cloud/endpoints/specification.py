"""What the local cloud needs to know of an endpoint to serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """An endpoint's container, as deployed."""

    name: str
    """Of the endpoint."""
    command: tuple[str, ...]
    folder: Path
    python_path: tuple[Path, ...]
    model: str
    """S3 URI of the archive that the container finds unpacked; empty for none."""
    environment: Mapping[str, str]
    """What the template sets, and what the local cloud adds to reach its own services."""

    @property
    def key(self) -> tuple[object, ...]:
        """Two invocations may share a process exactly if this is equal."""
        return (self.command, self.folder, self.model, tuple(sorted(self.environment.items())))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container says to one request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether SageMaker hands the body on instead of an error."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful
