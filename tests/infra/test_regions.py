"""Tests of the regions: by cfn-lint's data, each has what the stack names, or is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra import update_regions
from infra.instance_types import family
from infra.regions import (
    TABLE_PATH,
    MissingOffer,
    Region,
    adapt_defaults,
    adapt_settings,
    missing_offers,
    region_names,
)
from infra.settings import DeploySettings
from infra.update_regions import instance_types_by_region, read_resource_types
from swath.errors import SettingsError

REMEDIES = {
    "set 'backend' to 'lambda'": {"backend": "lambda"},
    "set 'endpoints' to an empty string": {"endpoints": ()},
    "set 'endpoints' to 'serverless' or an empty string": {"endpoints": ()},
}


def region_named(name: str) -> Region:
    region = Region.from_name(name)
    assert region
    return region


def test_the_table_and_the_page_are_those_of_the_data():
    """Otherwise run `python -m infra.update_regions`."""
    assert json.loads(TABLE_PATH.read_text()) == update_regions.build_table()
    assert update_regions.PAGE_PATH.read_text() == update_regions.render_page()


def test_the_table_has_every_commercial_region():
    assert len(region_names()) == 34
    assert {"eu-west-1", "us-east-1", "mx-central-1"} <= set(region_names())
    assert not [name for name in region_names() if name.startswith(("cn-", "us-gov-"))]


@pytest.mark.parametrize("name", region_names())
def test_every_resource_of_the_stack_is_in_the_region_or_is_listed_as_missing(
    name: str, everything: Any, production: Any
):
    known = read_resource_types(name)
    used = {
        resource["Type"]
        for stack in (everything, production)
        for resource in stack.json["Resources"].values()
        if not resource["Type"].startswith("Custom::")
    }

    # cfn-lint has no data of me-south-1, which the page says.
    assert known or name == "me-south-1"
    if known:
        assert used - known == region_named(name).missing_resource_types
    assert region_named(name).missing_resource_types <= set(update_regions.OPTIONAL_RESOURCE_TYPES)


@pytest.mark.parametrize("name", region_names())
def test_the_database_is_in_every_region(name: str, dev: Any):
    cluster = dev.one("AWS::RDS::DBCluster")
    instance = dev.one("AWS::RDS::DBInstance")

    assert cluster["Engine"] == instance["Engine"] == "aurora-postgresql"
    assert cluster["EngineVersion"] in update_regions.engine_versions("aurora-postgresql")
    assert instance["DBInstanceClass"] in update_regions.database_classes(name, "aurora-postgresql")


def remedied(missing: MissingOffer) -> dict[str, Any]:
    """Return the changes that a remedy names."""
    if match := re.match(r"set it to ([\w.-]+)", missing.remedy):
        (setting,) = re.findall("'(.*?)'", missing.name)
        return {setting: (match[1],) if setting == "gpu_instance_types" else match[1]}
    return next(change for text, change in REMEDIES.items() if text in missing.remedy)


@pytest.mark.parametrize("endpoints", [("serverless",), ("realtime",), ("async", "serverless")])
@pytest.mark.parametrize("name", region_names())
def test_settings_fit_a_region_or_the_refusal_says_what_does(name: str, endpoints: Any):
    """Following the remedies, one after the other, ends with what can be deployed."""
    settings, region = DeploySettings(endpoints=endpoints), region_named(name)
    for missing in list(missing_offers(adapt_defaults(settings, region), region)):
        with pytest.raises(SettingsError, match=f"{name} has no .*{re.escape(missing.remedy)}"):
            adapt_settings(settings, region)
        settings = dataclasses.replace(settings, **remedied(missing))

    fitted = adapt_settings(settings, region)
    if fitted.has_gpu_queue:
        assert set(fitted.gpu_instance_types) <= instance_types_by_region("ec2")[name]
        assert fitted.gpu_instance_types
    if {"realtime", "async"} & set(fitted.endpoints):
        assert fitted.endpoint_instance_type in instance_types_by_region("sagemaker")[name]


def test_defaults_are_the_smallest_hosts_with_a_gpu_that_the_region_has():
    found = {
        name: adapt_settings(DeploySettings(), region_named(name)).gpu_instance_types
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
        adapt_settings(
            DeploySettings(gpu_instance_types=("g6", "g5.xlarge")), region_named("eu-west-1")
        )
    with pytest.raises(SettingsError) as endpoint:
        adapt_settings(
            DeploySettings(endpoints=("async",), endpoint_instance_type="ml.g5.2xlarge"),
            region_named("eu-west-3"),
        )

    assert str(hosts.value).startswith(
        "the region eu-west-1 has no g6 of the deploy setting 'gpu_in"
    )
    assert "g4dn.xlarge or g5.xlarge" in str(hosts.value)
    assert "'endpoint_instance_type'; set it to ml.g4dn.xlarge or" in str(endpoint.value)


def test_a_region_that_is_not_in_the_table_is_not_checked():
    assert Region.from_name("xx-north-9") is None
    assert adapt_settings(DeploySettings(), None) == DeploySettings()


@pytest.mark.parametrize(
    ("name", "zones"), [("eu-west-1", 3), ("us-west-1", 2), ("ap-southeast-1", 3)]
)
def test_synthesis_for_a_region_gives_what_the_region_has(
    synthesize: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, zones: int
):
    monkeypatch.setenv("CDK_DEFAULT_REGION", name)
    stack = synthesize()

    available = instance_types_by_region("ec2")[name]
    for environment in stack.resources("AWS::Batch::ComputeEnvironment").values():
        types = environment["ComputeResources"]["InstanceTypes"]
        assert types
        assert set(types) <= available
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
    for name in region_names():
        assert not {family(host) for host in region_named(name).hosts} & {"g4ad", "g5g", "p3", "g3"}
