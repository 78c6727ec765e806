"""`swath local up`, as a person at a terminal has it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import httpx
import pytest

from local_cloud.cloud import ROOT

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


@pytest.mark.usefixtures("interruptible")
def test_the_printed_addresses_work_and_ctrl_c_stops_the_cloud():
    command = Path(sys.executable).with_name("swath")
    with subprocess.Popen(
        [command, "local", "up"],
        cwd=ROOT.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        printed = dict(iter_outputs(running.stdout))
        variables = dict(word.split("=") for word in printed["export"].split())
        administrator = boto3.Session(
            variables["AWS_ACCESS_KEY_ID"],
            variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_DEFAULT_REGION"],
        )
        endpoint = variables["AWS_ENDPOINT_URL"]
        s3 = administrator.client("s3", endpoint_url=endpoint)
        s3.put_object(Bucket=printed["scenes"].removeprefix("s3://"), Key="elsewhere/x", Body=b"")
        line = running.stdout.readline()
        sagemaker = administrator.client("sagemaker", endpoint_url=endpoint)
        served = sagemaker.describe_endpoint(EndpointName=printed["serverless"])
        console = httpx.get(printed["Console"]).status_code
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()

    assert running.returncode == 0
    assert (
        f"elsewhere/x: no run starts for this object; upload scenes to {printed['scenes']}" in line
    )
    assert served["EndpointStatus"] == "InService"
    assert console == 200
    assert printed["Endpoint"].split()[0] == endpoint
    assert printed["StateMachineArn"].startswith("arn:aws:states:")
    assert rest.index("stopping") < rest.index("are deleted")
    assert not Path(printed["Logs"]).exists()


def iter_outputs(lines):
    """`Name  value` lines, until the last one of the notice."""
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if value:
            yield name, value.strip()
        if line.startswith("Ctrl-C"):
            next(lines)
            return


def test_a_port_that_is_in_use_is_named_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-c", _START, str(port)], capture_output=True, text=True, check=False
        )

    reason = "Address already in use"
    assert ran.stdout == (
        f"port {port} cannot be used ({reason}); choose another, or 0 for a free one\n"
    )


_START = """
import sys
from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
try:
    with LocalCloud(port=int(sys.argv[1])):
        pass
except LocalCloudError as error:
    print(error)
"""


def test_its_help_names_the_command_that_was_typed():
    command = Path(sys.executable).with_name("swath")

    ran = subprocess.run(
        [command, "local", "up", "--help"], capture_output=True, text=True, check=True
    )

    assert ran.stdout.split()[:4] == ["Usage:", "swath", "local", "up"]
