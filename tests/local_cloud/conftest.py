"""The local cloud with the project's own stack: one for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.synthesis import synthesize
from tests.local_cloud.pipeline import Pipeline


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """The synthesized template, deployed. Its logs are shown when a test fails."""
    assembly = synthesize()
    with LocalCloud() as running:
        running.deploy(assembly)
        yield running


@pytest.fixture(scope="session")
def pipeline(cloud: LocalCloud) -> Pipeline:
    """The deployed stack, as those who use it see it."""
    return Pipeline(cloud)
