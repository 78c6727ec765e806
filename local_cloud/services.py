"""What the patches need of the local cloud: where to reach it, and what really runs things."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from local_cloud.errors import LocalCloudError
from local_cloud.functions.pool import FunctionPool
from local_cloud.images import StagedImage
from local_cloud.jobs import JobRunner
from local_cloud.postgis.database import Database

ACCOUNT = "123456789012"
REGION = "eu-west-1"

logger = logging.getLogger("local_cloud")


@dataclass(kw_only=True)
class Services:
    """The parts of a running local cloud."""

    endpoint: str
    functions: FunctionPool
    jobs: JobRunner
    database: Database
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that every function and job gets beside the template's: where AWS is."""
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str, region: str = REGION) -> Any:
        """A client of the local cloud, made once: making them is slow and not thread-safe."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = make_client(service, self.endpoint, region)
            return self._clients[key]

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


def make_client(service: str, endpoint: str, region: str = REGION) -> Any:
    """A boto3 client that can only reach the local cloud."""
    session: Any = boto3.Session()  # the default one is not thread-safe
    return session.client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - opens nothing
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=1000,
            max_pool_connections=64,
            s3={"addressing_style": "path"},
        ),
    )


def in_background(doing: str, action: Callable[[], object]) -> None:
    """Run something that nobody waits for; what goes wrong is logged."""

    def run() -> None:
        try:
            action()
        except Exception:
            logger.exception("%s failed", doing)

    threading.Thread(target=run, name=doing, daemon=True).start()
