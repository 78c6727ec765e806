from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import network_dependencies
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, new_name

VIOLATION = "DependencyViolation"


class Network:
    """A VPC with a subnet, two groups, and an interface in the subnet and the first group."""

    def __init__(self, aws: Aws) -> None:
        self.ec2: Any = aws.client("ec2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.0.0.0/24")
        self.subnet = subnet["Subnet"]["SubnetId"]
        self.group, self.named = self._group(), self._group()
        self.interface = self.ec2.create_network_interface(
            SubnetId=self.subnet, Groups=[self.group]
        )["NetworkInterface"]["NetworkInterfaceId"]
        self.rule = {
            "IpProtocol": "tcp",
            "FromPort": 1,
            "ToPort": 1,
            "UserIdGroupPairs": [{"GroupId": self.named}],
        }
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[self.rule])

    def _group(self) -> str:
        name = new_name()
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])


def test_canary_network_dependencies(services: Services, aws: Aws):
    vanilla = Network(aws)
    vanilla.ec2.delete_subnet(SubnetId=vanilla.subnet)
    vanilla.ec2.delete_security_group(GroupId=vanilla.group)

    network = Network(aws)
    ec2 = network.ec2
    with applied(services, network_dependencies):
        with pytest.raises(ClientError, match=VIOLATION):
            ec2.delete_subnet(SubnetId=network.subnet)
        with pytest.raises(ClientError, match=VIOLATION):
            ec2.delete_security_group(GroupId=network.group)
        with pytest.raises(ClientError, match=VIOLATION):
            ec2.delete_security_group(GroupId=network.named)

        ec2.delete_network_interface(NetworkInterfaceId=network.interface)
        ec2.delete_subnet(SubnetId=network.subnet)
        with pytest.raises(ClientError, match=VIOLATION):
            ec2.delete_vpc(VpcId=network.vpc)
        ec2.delete_security_group(GroupId=network.group)
        ec2.delete_security_group(GroupId=network.named)
        ec2.delete_vpc(VpcId=network.vpc)


def test_a_vpc_with_a_gateway_is_not_deleted(services: Services, aws: Aws):
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)

    with applied(services, network_dependencies):
        with pytest.raises(ClientError, match=VIOLATION):
            ec2.delete_vpc(VpcId=vpc)
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.delete_vpc(VpcId=vpc)
