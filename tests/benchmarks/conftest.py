"""Fixture of the benchmarks' tests: one small detector, made once."""

import pytest

from benchmarks import scenes
from benchmarks.models.network import Architecture
from benchmarks.models.package import make_packages

TINY = Architecture("tiny", 2, (1, 1, 1))


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The packages of a detector that is hardly there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "CACHE_FOLDER", tmp_path_factory.mktemp("cache"))
        return make_packages(TINY)
