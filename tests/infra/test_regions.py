"""What the stack names is in each commercial region, by cfn-lint's data, or is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra import update_regions
from infra.instance_types import family
from infra.regions import TABLE, Lack, Region, fit, lacks, names, with_defaults
from infra.settings import DeploySettings
from infra.update_regions import enumerated, resource_types
from swath.errors import SettingsError

REMEDIES = {
    "set 'backend' to 'lambda'": {"backend": "lambda"},
    "set 'endpoints' to an empty text": {"endpoints": ()},
    "set 'endpoints' to 'serverless' or an empty text": {"endpoints": ()},
}


def region_named(name: str) -> Region:
    region = Region.named(name)
    assert region
    return region


def test_the_table_and_the_page_are_those_of_the_data():
    """Otherwise run `python -m infra.update_regions`."""
    assert json.loads(TABLE.read_text()) == update_regions.table()
    assert update_regions.PAGE.read_text() == update_regions.page()


def test_the_table_has_every_commercial_region():
    assert len(names()) == 34
    assert {"eu-west-1", "us-east-1", "mx-central-1"} <= set(names())
    assert not [name for name in names() if name.startswith(("cn-", "us-gov-"))]


@pytest.mark.parametrize("name", names())
def test_every_resource_of_the_stack_is_in_the_region_or_in_its_lacks(
    name: str, everything: Any, production: Any
):
    known = resource_types(name)
    used = {
        resource["Type"]
        for stack in (everything, production)
        for resource in stack.json["Resources"].values()
        if not resource["Type"].startswith("Custom::")
    }

    # cfn-lint has no data of me-south-1, which the page says.
    assert known or name == "me-south-1"
    if known:
        assert used - known == region_named(name).lacks
    assert region_named(name).lacks <= set(update_regions.OPTIONAL)


@pytest.mark.parametrize("name", names())
def test_the_database_is_in_every_region(name: str, dev: Any):
    cluster = dev.one("AWS::RDS::DBCluster")
    instance = dev.one("AWS::RDS::DBInstance")

    assert cluster["Engine"] == instance["Engine"] == "aurora-postgresql"
    assert cluster["EngineVersion"] in update_regions.engine_versions("aurora-postgresql")
    assert instance["DBInstanceClass"] in update_regions.database_classes(name, "aurora-postgresql")


def remedied(lack: Lack) -> dict[str, Any]:
    """What a remedy says to change."""
    if named := re.match(r"set it to ([\w.-]+)", lack.remedy):
        (setting,) = re.findall("'(.*?)'", lack.what)
        return {setting: (named[1],) if setting == "gpu_instance_types" else named[1]}
    return next(change for text, change in REMEDIES.items() if text in lack.remedy)


@pytest.mark.parametrize("endpoints", [("serverless",), ("realtime",), ("async", "serverless")])
@pytest.mark.parametrize("name", names())
def test_settings_fit_a_region_or_the_refusal_says_what_does(name: str, endpoints: Any):
    """Following the remedies, one after the other, ends with what can be deployed."""
    settings, region = DeploySettings(endpoints=endpoints), region_named(name)
    for lack in list(lacks(with_defaults(settings, region), region)):
        with pytest.raises(SettingsError, match=f"{name} has no .*{re.escape(lack.remedy)}"):
            fit(settings, region)
        settings = dataclasses.replace(settings, **remedied(lack))

    fitted = fit(settings, region)
    if fitted.has_gpu_queue:
        assert set(fitted.gpu_instance_types) <= enumerated("ec2")[name]
        assert fitted.gpu_instance_types
    if {"realtime", "async"} & set(fitted.endpoints):
        assert fitted.endpoint_instance_type in enumerated("sagemaker")[name]


def test_defaults_are_the_smallest_hosts_with_a_gpu_that_the_region_has():
    found = {
        name: fit(DeploySettings(), region_named(name)).gpu_instance_types
        for name in ("eu-west-1", "us-west-1", "ap-southeast-1", "eu-central-1")
    }

    assert found == {
        "eu-west-1": ("g5.xlarge", "g4dn.xlarge"),
        "us-west-1": ("g4dn.xlarge",),
        "ap-southeast-1": ("g4dn.xlarge",),
        "eu-central-1": ("g6.xlarge", "g5.xlarge", "g4dn.xlarge"),
    }


def test_what_is_asked_for_by_name_is_refused_with_what_there_is():
    with pytest.raises(SettingsError) as hosts:
        fit(DeploySettings(gpu_instance_types=("g6", "g5.xlarge")), region_named("eu-west-1"))
    with pytest.raises(SettingsError) as endpoint:
        fit(
            DeploySettings(endpoints=("async",), endpoint_instance_type="ml.g5.2xlarge"),
            region_named("eu-west-3"),
        )

    assert str(hosts.value).startswith(
        "the region eu-west-1 has no g6 of the deploy setting 'gpu_in"
    )
    assert "g4dn.xlarge or g5.xlarge" in str(hosts.value)
    assert "'endpoint_instance_type'; set it to ml.g4dn.xlarge or" in str(endpoint.value)


def test_a_region_that_is_not_in_the_table_is_not_checked():
    assert Region.named("xx-north-9") is None
    assert fit(DeploySettings(), None) == DeploySettings()


@pytest.mark.parametrize(
    ("name", "zones"), [("eu-west-1", 3), ("us-west-1", 2), ("ap-southeast-1", 3)]
)
def test_synthesis_for_a_region_gives_what_the_region_has(
    synthesize: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, zones: int
):
    monkeypatch.setenv("CDK_DEFAULT_REGION", name)
    stack = synthesize()

    there = enumerated("ec2")[name]
    for environment in stack.resources("AWS::Batch::ComputeEnvironment").values():
        types = environment["ComputeResources"]["InstanceTypes"]
        assert types
        assert set(types) <= there
        assert len(environment["ComputeResources"]["Subnets"]) == zones
    # Still of no region, so that no account is asked for its zones.
    manifest = json.loads((stack.folder / "manifest.json").read_text())
    assert "missing" not in manifest
    assert manifest["artifacts"]["swath"]["environment"] == "aws://unknown-account/unknown-region"


def test_synthesis_for_a_region_without_gpus_names_the_setting(
    synthesize: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CDK_DEFAULT_REGION", "ap-southeast-7")
    with pytest.raises(SettingsError, match="set 'backend' to 'lambda'"):
        synthesize()


def test_every_family_of_hosts_has_a_gpu_for_each_job():
    for name in names():
        assert not {family(host) for host in region_named(name).hosts} & {"g4ad", "g5g", "p3", "g3"}
