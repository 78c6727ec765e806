"""Fixtures of every test: the path of the real data, and a block on network access."""

import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = [
    "tests.helpers.answers",
    "tests.helpers.assembly",
    "tests.helpers.goldens",
    "tests.helpers.https_server",
    "tests.helpers.packages",
    "tests.helpers.postgis",
    "tests.helpers.rasters",
    "tests.helpers.band_files",
    "tests.helpers.runs",
    "tests.helpers.serving",
    "tests.helpers.squares",
]

# As many tests as there are cores run side by side; with torch's threads besides, all would wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Powertools reads it when a function's module is imported, which is before any fixture.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "swath")

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("swath", deadline=None)
hypothesis.settings.load_profile("swath")

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("SWATH_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real scenes, labels and models; they are not part of the repository."""
    if not (REAL_DATA / "README.md").is_file():
        message = f"no test data at {REAL_DATA}; set SWATH_TEST_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return REAL_DATA


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that open nothing, so that no test can reach a real account."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
