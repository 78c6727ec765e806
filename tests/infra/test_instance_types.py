from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from aws_cdk.aws_ec2 import InstanceArchitecture, InstanceType

from infra.instance_types import family, unsupported_reason
from infra.settings import DeploySettings
from infra.update_regions import instance_types_by_region
from swath.errors import SettingsError
from swath.settings import has_gpu


def every_family() -> Iterator[str]:
    found = {family(name) for names in instance_types_by_region("ec2").values() for name in names}
    # The CDK reads no other names, such as p6-b200 and u-6tb1.
    yield from sorted(name for name in found if re.fullmatch(r"[a-z]+\d+[a-z]*", name))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ml.c7g.large", "ARM"),
        ("g5g.xlarge", "ARM"),
        ("ml.m8g.xlarge", "ARM"),
        ("p3.2xlarge", "Turing"),
        ("p2", "Turing"),
        ("g3s.xlarge", "Turing"),
        ("g4ad.xlarge", "AMD"),
        ("g6f.xlarge", "fraction of a GPU"),
        ("ml.inf2.xlarge", "accelerator"),
        ("ml.trn1.2xlarge", "accelerator"),
    ],
)
def test_what_the_images_do_not_run_on_is_refused(name: str, reason: str):
    assert reason in unsupported_reason(name)
    assert unsupported_reason(family(name)) == unsupported_reason(name)


@pytest.mark.parametrize("name", ["g4dn", "g5", "g6", "g6e", "gr6", "g7e", "p4d", "p5", "p6-b200"])
def test_gpus_from_turing_on_are_usable(name: str):
    assert has_gpu(name)
    assert not unsupported_reason(name)


@pytest.mark.parametrize("name", ["ml.c5.xlarge", "m7i.large", "ml.r6i.large", "t3.medium"])
def test_hosts_without_a_gpu_are_told_from_those_with_one(name: str):
    assert not has_gpu(name)
    assert not unsupported_reason(name)


def test_arm_is_what_the_cdk_takes_for_arm():
    for name in every_family():
        arm = InstanceType(f"{name}.large").architecture == InstanceArchitecture.ARM_64
        assert ("ARM" in unsupported_reason(name)) is arm, name


@pytest.mark.parametrize(
    "values",
    [
        {"gpu_instance_types": "g5.xlarge,p3.2xlarge"},
        {"gpu_instance_types": "g5g"},
        {"gpu_instance_types": "c5.xlarge"},
        {"endpoint_instance_type": "ml.c7g.xlarge"},
        {"endpoint_instance_type": "ml.inf2.xlarge"},
    ],
)
def test_settings_name_what_is_refused(values: dict[str, str]):
    ((setting, value),) = values.items()
    with pytest.raises(SettingsError, match=setting) as caught:
        DeploySettings.from_values(values)

    assert value.split(",")[-1] in str(caught.value)
