from __future__ import annotations

from typing import Any


def test_only_the_clients_group_reaches_the_database(dev: Any):
    ingress = dev.one("AWS::EC2::SecurityGroupIngress")

    assert ingress["FromPort"] == ingress["ToPort"] == 5432
    assert ingress["GroupId"]["Fn::GetAtt"][0].startswith("NetworkDatabase9")
    assert ingress["SourceSecurityGroupId"]["Fn::GetAtt"][0].startswith("NetworkDatabaseClients")


def test_nobody_connects_to_a_gpu_host(dev: Any):
    hosts = dev.one("AWS::EC2::SecurityGroup", "NetworkGpuHosts")

    assert "SecurityGroupIngress" not in hosts


def test_functions_inside_reach_the_database_and_s3_and_nothing_else(dev: Any):
    group = dev.one("AWS::EC2::SecurityGroup", "NetworkDatabaseClients")
    to_database = dev.one("AWS::EC2::SecurityGroupEgress")

    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [
        (443, 443)
    ]
    assert to_database["FromPort"] == to_database["ToPort"] == 5432


def test_isolated_subnets_have_no_way_out_but_the_endpoint_of_s3(dev: Any):
    endpoint = dev.one("AWS::EC2::VPCEndpoint")
    routes = dev.resources("AWS::EC2::Route").values()
    out = {route["RouteTableId"]["Ref"] for route in routes}

    assert "s3" in str(endpoint["ServiceName"])
    isolated = {t["Ref"] for t in endpoint["RouteTableIds"] if "isolated" in t["Ref"]}
    assert len(isolated) == 2
    assert not isolated & out
