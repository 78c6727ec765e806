"""The host of docs/tutorial.md, through which a laptop reaches the database."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "examples" / "tunnel" / "template.yaml"
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()


def test_cfn_lint_accepts_the_template():
    lint = Path(sys.executable).with_name("cfn-lint")
    if not lint.exists():
        pytest.skip("cfn-lint is not installed")

    checked = subprocess.run([lint, TEMPLATE], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_the_host_accepts_no_connections_and_reaches_systems_manager(dev: Any):
    clients = dev.one("AWS::EC2::SecurityGroup", "NetworkDatabaseClients")
    (route,) = dev.resources("AWS::EC2::Route", "NetworkVpcpublicSubnet1").values()

    assert "SecurityGroupIngress" not in clients
    assert (443, "0.0.0.0/0") in {
        (rule["ToPort"], rule["CidrIp"]) for rule in clients["SecurityGroupEgress"]
    }
    assert route["DestinationCidrBlock"] == "0.0.0.0/0"
    assert "GatewayId" in route


@pytest.mark.parametrize("kind", ["AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"])
def test_the_tutorial_lists_one_resource_of_a_type(dev: Any, kind: str):
    names = re.findall(r"contains\(LogicalResourceId, '(\w+)'\)", TUTORIAL)

    listed = [id_ for id_ in dev.resources(kind) if any(name in id_ for name in names)]

    assert len(names) == 2
    assert len(listed) == 1
    assert f"`{kind}`" in TUTORIAL
