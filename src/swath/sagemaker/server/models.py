"""Hold the models of a container: its own for all requests, and one other for shards."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.pipeline.shard import load_cached_model
from swath.sagemaker.server.batcher import Batcher
from swath.sagemaker.server.responses import ModelIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from swath.messages import ModelRef
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerModels:
    """Container's own model, loaded, and access to other models for shards."""

    digest: str
    description: ModelDescription
    own: Batcher
    _others: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, folder: Path) -> ContainerModels:
        """Load the model package of the container.

        Args:
            folder: Folder of the package.

        Raises:
            PackageError: The package cannot be used.
            NoGpuError: A GPU is present or required, but it cannot be used.
        """
        package = load_package(folder)
        description = package.description
        model = load_model(package)
        return cls(digest=package.digest, description=description, own=Batcher(model))

    @property
    def source(self) -> ModelIdentity:
        """Identity of the container's model, for answers."""
        return ModelIdentity(
            name=self.description.name, digest=self.digest, classes=self.description.classes
        )

    def load_for(self, ref: ModelRef) -> tuple[ModelDescription, Model]:
        """Return the model of a plan: the container's own if the digests match, else the plan's.

        Args:
            ref: Reference to the model package.

        Raises:
            PackageError: The package cannot be used.
        """
        if ref.digest == self.digest:
            return self.description, self.own
        with self._others:  # only one of the waiting shards loads it
            return load_cached_model(ref)
