"""The models of a container: its own, which all requests share, and one other for shards."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.pipeline.shard import load_kept
from swath.sagemaker.server.batcher import Batcher
from swath.sagemaker.server.responses import Source

if TYPE_CHECKING:
    from pathlib import Path

    from swath.messages import ModelRef
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The container's own model, loaded, and whatever else shards ask for."""

    digest: str
    description: ModelDescription
    own: Batcher
    _others: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, folder: Path) -> Models:
        """Load the model package of a container.

        Raises:
            PackageError: the package cannot be used.
            NoGpuError: there is a GPU, or there was to be one, and it cannot be used.
        """
        package = load_package(folder)
        description = package.description
        model = load_model(package)
        return cls(digest=package.digest, description=description, own=Batcher(model))

    @property
    def source(self) -> Source:
        """What answers say of the container's model."""
        said = self.description
        return Source(name=said.name, digest=self.digest, classes=said.classes)

    def of(self, ref: ModelRef) -> tuple[ModelDescription, Model]:
        """The model of a plan: the container's own if it is that, in whatever batches it is in.

        Raises:
            PackageError: it cannot be used.
        """
        if ref.digest == self.digest:
            return self.description, self.own
        with self._others:  # loaded by one of the shards that want it
            return load_kept(ref)
