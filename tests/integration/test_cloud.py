"""A local cloud leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from local_cloud.cloud import ROOT, LocalCloud
from local_cloud.errors import LocalCloudError
from tests.local_cloud.canaries.aws import eventually

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(180)]

CALLER = """
import json, time
from local_cloud.cloud import LocalCloud, exit_on_signals

with exit_on_signals(), LocalCloud() as cloud:
    cloud.client("s3").list_buckets()
    print(json.dumps([cloud.endpoint, str(cloud.folder), cloud.dsn()]), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for all temporary files of the cloud and of what it starts.

    Not pytest's own, which only its user can reach: PostgreSQL may run as another one.
    """
    with tempfile.TemporaryDirectory(prefix="swath-test-") as name:
        Path(name).chmod(0o755)
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(name)
        monkeypatch.undo()
    tempfile.tempdir = None


def processes_below(folder: Path) -> list[str]:
    """The command lines of all processes that name the folder, or run in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in words or str(folder) in str((path / "cwd").readlink()):
                found.append(words)
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_caller_gets_a_signal(number: signal.Signals, temporary: Path):
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )
    with caller:
        assert caller.stdout is not None
        json.loads(caller.stdout.readline())
        assert len(processes_below(temporary)) >= 2
        caller.send_signal(number)

    eventually(lambda: not processes_below(temporary), "the end of all processes")
    eventually(lambda: not list(temporary.iterdir()), "the end of all files")


def test_nothing_is_left_after_a_deployment_that_fails(temporary: Path):
    assembly = broken_assembly(temporary / "assembly")

    with LocalCloud() as cloud:
        folder, client = cloud.folder, cloud.client("s3")
        with pytest.raises(LocalCloudError, match="AWS::GroundStation::Config"):
            cloud.deploy(assembly)

    assert not folder.exists()
    assert [path.name for path in temporary.iterdir()] == ["assembly"]
    with pytest.raises(EndpointConnectionError):
        client.list_buckets()


def broken_assembly(folder: Path) -> Path:
    folder.mkdir()
    resources: Any = {"Antenna": {"Type": "AWS::GroundStation::Config", "Properties": {}}}
    (folder / "broken.template.json").write_text(json.dumps({"Resources": resources}))
    (folder / "broken.assets.json").write_text("{}")
    return folder


def test_a_cloud_that_cannot_start_reports_the_reason_and_leaves_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SWATH_POSTGIS_SERVER", "postgresql://nobody@127.0.0.1:1/none")

    with pytest.raises(LocalCloudError, match="SWATH_POSTGIS_SERVER"):
        LocalCloud().__enter__()

    assert list(temporary.iterdir()) == []
