"""Tests of the processes: none sees anything of its machine's user."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from local_cloud.endpoints import process as serving
from local_cloud.endpoints.specification import ServingSpec
from local_cloud.functions import environment
from local_cloud.functions.specification import FunctionSpec
from local_cloud.jobs import JobRunner, JobSpec
from local_cloud.processes import can_limit_disk, create_scratch

LOOK = """
import os, pathlib, boto3
session = boto3.Session()
print(session.available_profiles, session.get_credentials(), session.region_name)
print(pathlib.Path.home().is_dir(), sorted(os.environ))
"""


@pytest.fixture(autouse=True)
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose configuration would lead every process astray."""
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text("[profile mine]\nregion = sa-east-1\n")
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = MINE\naws_secret_access_key = MINE\n"
    )
    for name, value in {
        "HOME": str(home),
        "AWS_PROFILE": "mine",
        "AWS_REGION": "sa-east-1",
        "AWS_ENDPOINT_URL_S3": "http://mine",
        "AWS_CONFIG_FILE": str(home / ".aws" / "config"),
        "PYTHONSTARTUP": "mine",
        "SWATH_LOG_LEVEL": "mine",
        "PATH": f"{home}:/usr/bin",
    }.items():
        monkeypatch.setenv(name, value)


def seen(variables: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=variables | {"AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_function_has_lambdas_variables_and_nothing_of_the_users(tmp_path: Path):
    spec = FunctionSpec(
        name="f",
        arn="arn",
        region="eu-west-1",
        handler="h.h",
        task_root=tmp_path,
        python_path=(),
        timeout=1,
        memory=128,
        log_group="logs",
        environment={"SET": "by the template"},
    )
    variables = environment.process_environment(spec, "127.0.0.1:1")
    found, where = seen(variables)

    assert found == "[] None eu-west-1"
    assert where.startswith("False")
    assert "mine" not in str(variables).lower()
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "logs"


def test_an_endpoint_has_sagemakers_variables_and_nothing_of_the_users(tmp_path: Path):
    spec = ServingSpec(
        name="e", command=("x",), folder=tmp_path, python_path=(), model="", environment={}
    )
    variables = serving.process_environment(spec, tmp_path / "model", 1)
    found, where = seen(variables)

    assert found == "[] None None"
    assert where.startswith("False")
    assert "mine" not in str(variables).lower()


def test_a_job_has_no_region_unless_its_definition_sets_one(tmp_path: Path):
    logs = tmp_path / "logs"
    logs.mkdir()
    runner = JobRunner(logs)
    process = JobSpec(
        command=[sys.executable, "-c", LOOK],
        folder=tmp_path,
        environment={"AWS_EC2_METADATA_DISABLED": "true"},
        log="job.log",
    )
    ended = runner.run(process, timeout=60, should_stop=lambda: False)
    runner.close()
    found, where = ended.output.splitlines()

    assert found == "[] None None"
    assert where == "False ['AWS_EC2_METADATA_DISABLED', 'HOME', 'LC_CTYPE', 'PATH', 'TMPDIR']"


WRITE = """
import pathlib, tempfile
print(pathlib.Path(tempfile.gettempdir(), "small").write_bytes(bytes(30_000)))
pathlib.Path(tempfile.gettempdir(), "large").write_bytes(bytes(70_000))
"""


@pytest.mark.skipif(not can_limit_disk(), reason="no file systems of one's own here")
def test_a_disk_is_full_when_its_space_is_used_up(tmp_path: Path):
    logs = tmp_path / "logs"
    logs.mkdir()
    runner = JobRunner(logs)
    process = JobSpec(
        command=[sys.executable, "-c", WRITE],
        folder=tmp_path,
        environment={},
        log="job.log",
        disk_kib=64,
    )
    full = runner.run(process, timeout=60, should_stop=lambda: False)
    free = runner.run(
        dataclasses.replace(process, disk_kib=None), timeout=60, should_stop=lambda: False
    )
    runner.close()

    assert (full.code, free.code) == (1, 0)
    assert "30000\n" in full.output, "what is small enough"
    assert "OSError: [Errno 28] No space left on device" in full.output


def test_temporary_files_are_a_process_own(tmp_path: Path):
    log = tmp_path / "logs" / "lambda-f.log"
    log.parent.mkdir()

    assert create_scratch(log)["TMPDIR"] != create_scratch(log)["TMPDIR"]
