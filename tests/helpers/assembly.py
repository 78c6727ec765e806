"""The synthesized app of the tests: what the local cloud deploys, and what canaries read."""

from pathlib import Path

import pytest

from local_cloud.synthesis import synthesize

ARCHIVE, ARCHIVE_REGION = "swath-tests-archive", "us-west-2"
"""Bucket of others, whose readers pay, and its region; tests create it."""


@pytest.fixture(scope="session")
def assembly() -> Path:
    """The app with an endpoint of each kind and a model that is quick; the rest is as it comes."""
    return synthesize(
        {
            "swath:endpoints": "realtime,async,serverless",
            "swath:models_dir": "tests/small_models",
            "swath:training": "true",
            "swath:scene_sources": (
                f"s3://{ARCHIVE}/c2/?region={ARCHIVE_REGION}&requester_pays=true"
            ),
        }
    )
