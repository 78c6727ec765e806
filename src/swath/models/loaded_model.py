"""Load a model package once and use it for many scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from swath import storage
from swath.models.package import ModelPackage, load_package
from swath.models.runtimes.load import load_model

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A model package whose weights are in memory, ready to run.

    Several threads may use one loaded model at once.
    """

    uri: str
    """Address of the package: a path or an S3 URI."""
    package: ModelPackage = field(repr=False)
    """Files and description of the package."""
    runtime: Model = field(repr=False)
    """Model that one of the libraries runs on this machine."""

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """Load a package: verify its files, and load the weights that run fastest on this machine.

        Args:
            uri: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.

        Raises:
            PackageError: There is no package, or none of its weights can run on this machine.
            NoGpuError: There is a GPU, but it cannot be used.
            ModelTimeoutError: The model did not load in time.
        """
        uri = storage.resolve(uri)
        package = load_package(uri)
        return cls(uri=uri, package=package, runtime=load_model(package))

    @property
    def description(self) -> ModelDescription:
        """Content of the package's `mlm.json`."""
        return self.package.description

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name

    @property
    def task(self) -> str:
        """Task of the model, as `detection` or `segmentation`."""
        return self.description.task

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the input bands, in order."""
        return tuple(self.description.bands)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model's labels."""
        return tuple(self.description.classes)

    @property
    def score_threshold(self) -> float:
        """Lowest score that the package reports, 0 to 1."""
        return self.description.score_threshold
