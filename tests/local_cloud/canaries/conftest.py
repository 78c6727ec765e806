"""Moto as it comes, on a port of its own, and the parts that the patches need."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

from local_cloud.clients import Clients
from local_cloud.endpoints.pool import EndpointPool
from local_cloud.functions.pool import FunctionPool
from local_cloud.jobs import JobRunner
from local_cloud.moto_patches.installed import SETTINGS
from local_cloud.permissions.access import Access
from local_cloud.postgis.database import Database
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, Aws, create_role


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Server of vanilla moto, which uses no Docker and executes state machines."""
    settings: Any = default_user_config
    before = dict(settings)
    settings.update(SETTINGS)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    os.environ["MOTO_PORT"] = str(server.get_host_and_port()[1])
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()
    del os.environ["MOTO_PORT"]
    settings.clear()
    settings.update(before)


@pytest.fixture(scope="session")
def clients(moto_endpoint: str) -> Clients:
    return Clients(moto_endpoint)


@pytest.fixture
def role(clients: Clients) -> None:
    """ROLE, which every service may assume, and which may do everything.

    Other tests of the process empty moto, so it is created wherever it is missing.
    """
    iam = clients.get("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        create_role(iam, ROLE.rpartition("/")[2])


@pytest.fixture
def services(
    moto_endpoint: str, clients: Clients, role: None, tmp_path: Path
) -> Iterator[Services]:
    """The services that patches need.

    There is no database: the patch that uses one brings it.
    """
    made = Services(
        endpoint=moto_endpoint,
        clients=clients,
        access=Access(moto_endpoint, clients, tmp_path),
        functions=FunctionPool(tmp_path),
        jobs=JobRunner(tmp_path),
        endpoints=EndpointPool(tmp_path, tmp_path / "models"),
        database=Database(host="nowhere", port=0, administrator={}),
        environment={"AWS_ENDPOINT_URL": moto_endpoint},
    )
    yield made
    made.close()


@pytest.fixture
def aws(services: Services) -> Aws:
    return Aws(services)
