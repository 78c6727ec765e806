"""Refuse to delete parts of a network that other parts are in or refer to.

AWS: https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html,
https://docs.aws.amazon.com/vpc/latest/userguide/delete-security-group.html

Moto 5.2.5 ignores such dependencies. It deletes a subnet or security group that has a network
interface, and a group that another group's rule names. It also deletes a VPC that still has a
gateway or its own groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "network_dependencies"


def apply(patcher: Patcher, services: Services) -> None:
    """Check the dependents of a part before it is deleted."""

    def delete_subnet(ec2: Any, subnet_id: str) -> Any:
        if any(interface.subnet.id == subnet_id for interface in ec2.enis.values()):
            raise DependencyViolationError(
                f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
            )
        return original_subnet(ec2, subnet_id)

    def delete_security_group(
        ec2: Any, name: str | None = None, group_id: str | None = None
    ) -> Any:
        if group_id and _is_used(ec2, group_id):
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        return original_group(ec2, name, group_id)

    def delete_vpc(ec2: Any, vpc_id: str) -> Any:
        gateways = (g for g in ec2.internet_gateways.values() if g.vpc and g.vpc.id == vpc_id)
        groups = (g for g in ec2.groups[vpc_id].values() if g.name != "default")
        if any(gateways) or any(groups):
            raise DependencyViolationError(
                f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
            )
        return original_vpc(ec2, vpc_id)

    original_subnet = patcher.replace(SubnetBackend, "delete_subnet", delete_subnet)
    original_group = patcher.replace(
        SecurityGroupBackend, "delete_security_group", delete_security_group
    )
    original_vpc = patcher.replace(VPCBackend, "delete_vpc", delete_vpc)


def _is_used(ec2: Any, group_id: str) -> bool:
    in_interfaces = (group.id for eni in ec2.enis.values() for group in eni.group_set)
    return group_id in in_interfaces or group_id in _named_by_others(ec2, group_id)


def _named_by_others(ec2: Any, group_id: str) -> Iterator[str]:
    for groups in ec2.groups.values():
        for group in groups.values():
            if group.id != group_id:
                for rule in (*group.ingress_rules, *group.egress_rules):
                    yield rule.source_group.get("GroupId", "")
