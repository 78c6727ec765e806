"""Hold the parts of the local cloud that patches use: its addresses, processes and clients."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_cloud.clients import REGION, Clients
from local_cloud.clock import Clock
from local_cloud.endpoints.pool import EndpointPool
from local_cloud.errors import LocalCloudError
from local_cloud.faults.registry import FaultRegistry
from local_cloud.functions.pool import FunctionPool
from local_cloud.images import StagedImage
from local_cloud.jobs import JobRunner
from local_cloud.postgis.database import Database

if TYPE_CHECKING:
    from local_cloud.permissions.access import Access

logger = logging.getLogger("local_cloud")


@dataclass(kw_only=True)
class Services:
    """Parts of a running local cloud."""

    endpoint: str
    functions: FunctionPool
    jobs: JobRunner
    endpoints: EndpointPool
    database: Database
    clients: Clients
    access: Access
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that every function, job and endpoint gets in addition to the template's, such
    as AWS's address."""
    faults: FaultRegistry = field(default_factory=FaultRegistry)

    @functools.cached_property
    def clock(self) -> Clock:
        """Clock that shortens AWS's waiting times."""
        return Clock(self.faults)

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a client of the local cloud."""
        return self.clients.get(service, region)

    def image(self, uri: str, region: str = REGION) -> StagedImage:
        """Return the staged image behind an image URI of the local registry.

        Raises:
            LocalCloudError: No image was pushed under that URI.
        """
        repository, tag = uri.partition("/")[2].rsplit(":", 1)
        response = self.client("ecr", region).batch_get_image(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
        if not response["images"]:
            raise LocalCloudError(f"the local registry has no image {uri}")
        return StagedImage.from_manifest(response["images"][0]["imageManifest"])

    def close(self) -> None:
        """End all functions, jobs and endpoints."""
        self.functions.close()
        self.jobs.close()
        self.endpoints.close()


def run_in_background(name: str, action: Callable[[], object]) -> None:
    """Run an action in a thread, without waiting for it; errors are logged."""

    def run() -> None:
        try:
            action()
        except Exception:
            logger.exception("%s failed", name)

    threading.Thread(target=run, name=name, daemon=True).start()
