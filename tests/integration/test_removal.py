"""Deleting a stack ends as docs/deploying.md says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.synthesis import synthesize
from tests.integration.releases import broken_release

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def assemblies() -> dict[str, Path]:
    context = {"swath:endpoints": "serverless", "swath:models_dir": "tests/small_models"}
    return {
        stage: synthesize({**context, "swath:stage": stage, "swath:name": f"swath-{stage}"})
        for stage in ("dev", "production")
    }


def test_a_dev_stack_goes_but_for_its_logs(
    own_cloud: LocalCloud, assemblies: dict[str, Path], tmp_path: Path
):
    dev = assemblies["dev"]
    outputs = own_cloud.deploy(dev)
    s3 = own_cloud.client("s3")
    logs = logs_bucket(own_cloud)
    for bucket in (*(outputs[f"{name}Bucket"] for name in ("Scenes", "Work", "Results")), logs):
        s3.put_object(Bucket=bucket, Key="kept", Body=b"")

    with pytest.raises(LocalCloudError, match="BucketNotEmpty") as refused:
        own_cloud.destroy(dev)
    for name in ("Scenes", "Work", "Results"):
        assert f"Storage{name}" in str(refused.value)
        empty(s3, outputs[f"{name}Bucket"])
    own_cloud.destroy(dev)

    assert list_remaining(own_cloud) == {"buckets": {logs}, "vpcs": set(), "functions": set()}
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(own_cloud.dsn())

    # A first deployment that fails leaves as little, and does not block the next one.
    with pytest.raises(LocalCloudError, match="is ROLLBACK_COMPLETE"):
        own_cloud.deploy(broken_release(dev, tmp_path / "broken"))
    assert {name.split("-storage")[0] for name in list_remaining(own_cloud)["buckets"]} == {
        "swath-dev"
    }
    assert list_remaining(own_cloud)["vpcs"] == list_remaining(own_cloud)["functions"] == set()
    own_cloud.deploy(dev)


def test_a_production_stack_leaves_its_buckets_its_database_and_their_network(
    own_cloud: LocalCloud, assemblies: dict[str, Path]
):
    production = assemblies["production"]
    outputs = own_cloud.deploy(production)
    own_cloud.client("s3").put_object(Bucket=outputs["ResultsBucket"], Key="kept", Body=b"")

    with pytest.raises(LocalCloudError, match="TerminationProtection"):
        own_cloud.destroy(production)
    own_cloud.client("cloudformation").update_termination_protection(
        StackName="swath-production", EnableTerminationProtection=False
    )
    own_cloud.destroy(production)

    after = list_remaining(own_cloud)
    assert len(after["buckets"]) == 4
    assert outputs["ResultsBucket"] in after["buckets"]
    assert len(after["vpcs"]) == 1
    assert after["functions"] == set()
    with psycopg.connect(own_cloud.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM swath.runs").fetchone() == (0,)
    # Without the policies that keep it, EC2 would have refused to delete the network.
    ec2 = own_cloud.client("ec2")
    (interface,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_subnet(SubnetId=interface["SubnetId"])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=interface["Groups"][0]["GroupId"])


def logs_bucket(cloud: LocalCloud) -> str:
    names = (bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"])
    return next(name for name in names if "storagelogs" in name)


def empty(s3: Any, bucket: str) -> None:
    versions = s3.list_object_versions(Bucket=bucket)
    for found in (*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())):
        s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


def list_remaining(cloud: LocalCloud) -> dict[str, set[str]]:
    """Return what is in the account, but for what is there without the stack."""
    buckets = cloud.client("s3").list_buckets()["Buckets"]
    vpcs = cloud.client("ec2").describe_vpcs()["Vpcs"]
    functions = cloud.client("lambda").list_functions()["Functions"]
    return {
        "buckets": {b["Name"] for b in buckets if not b["Name"].startswith("cdk-")},
        "vpcs": {vpc["VpcId"] for vpc in vpcs if not vpc["IsDefault"]},
        "functions": {function["FunctionName"] for function in functions},
    }
