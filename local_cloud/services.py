"""What the patches need of the local cloud: where to reach it, and what really runs things."""

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
from local_cloud.faults.active import Faults
from local_cloud.functions.pool import FunctionPool
from local_cloud.images import StagedImage
from local_cloud.jobs import JobRunner
from local_cloud.postgis.database import Database

if TYPE_CHECKING:
    from local_cloud.permissions.access import Access

logger = logging.getLogger("local_cloud")


@dataclass(kw_only=True)
class Services:
    """The parts of a running local cloud."""

    endpoint: str
    functions: FunctionPool
    jobs: JobRunner
    endpoints: EndpointPool
    database: Database
    clients: Clients
    access: Access
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that every function, job and endpoint gets beside the template's: where AWS is."""
    faults: Faults = field(default_factory=Faults)

    @functools.cached_property
    def clock(self) -> Clock:
        """The clock that AWS's waits pass by."""
        return Clock(self.faults)

    def client(self, service: str, region: str = REGION) -> Any:
        """A client of the local cloud."""
        return self.clients.get(service, region)

    def image(self, uri: str, region: str = REGION) -> StagedImage:
        """The staged image that an image's URI in the local registry stands for.

        Raises:
            LocalCloudError: nothing was pushed under that URI.
        """
        repository, tag = uri.partition("/")[2].rsplit(":", 1)
        found = self.client("ecr", region).batch_get_image(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
        if not found["images"]:
            raise LocalCloudError(f"there is no image {uri} in the local registry")
        return StagedImage.from_manifest(found["images"][0]["imageManifest"])

    def close(self) -> None:
        """End what runs."""
        self.functions.close()
        self.jobs.close()
        self.endpoints.close()


def in_background(doing: str, action: Callable[[], object]) -> None:
    """Run something that nobody waits for; what goes wrong is logged."""

    def run() -> None:
        try:
            action()
        except Exception:
            logger.exception("%s failed", doing)

    threading.Thread(target=run, name=doing, daemon=True).start()
