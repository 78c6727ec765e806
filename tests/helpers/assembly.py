"""The synthesized app of the tests: what the local cloud deploys, and what canaries read."""

from pathlib import Path

import pytest

from local_cloud.synthesis import synthesize


@pytest.fixture(scope="session")
def assembly() -> Path:
    """The app with an endpoint of each kind and a model that is quick; the rest is as it comes."""
    return synthesize(
        {
            "swath:endpoints": "realtime,async,serverless",
            "swath:models_dir": "tests/small_models",
            "swath:training": "true",
        }
    )
