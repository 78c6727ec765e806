"""An Aurora cluster is a database on the real PostGIS, with an interface in its network."""

from __future__ import annotations

import json
import secrets

from local_cloud.errors import LocalCloudError
from local_cloud.resources.making import Change, Made, Request


def make_subnet_group(request: Request) -> Made:
    """Name subnets for a cluster; moto makes such a group, but has no name for it."""
    name = request.properties.get("DBSubnetGroupName", request.name).lower()
    request.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name,
        DBSubnetGroupDescription=request.properties["DBSubnetGroupDescription"],
        SubnetIds=request.properties["SubnetIds"],
    )
    return Made(name)


def make_cluster(request: Request) -> Made:
    """Create the cluster's database and its master user, with a secret that logs that user in."""
    database = request.services.database
    properties = request.properties
    user = properties.get("MasterUsername", "postgres")
    password = secrets.token_urlsafe(24)
    if name := properties.get("DatabaseName"):
        database.create(name, owner=user, password=password)
    identifier = properties.get("DBClusterIdentifier", request.name.lower())
    arn = f"arn:aws:rds:{request.region}:{request.account}:cluster:{identifier}"
    resource_id = f"cluster-{request.logical_id.upper()}"
    database.clusters.add(resource_id)
    attributes = {
        "DBClusterArn": arn,
        "DBClusterResourceId": resource_id,
        "Endpoint.Address": database.host,
        "Endpoint.Port": str(database.port),
        "ReadEndpoint.Address": database.host,
    }
    if "DBSubnetGroupName" in properties:
        _make_interface(request, identifier)
    if properties.get("ManageMasterUserPassword"):
        attributes["MasterUserSecret.SecretArn"] = _master_secret(
            request, identifier, {"username": user, "password": password}
        )
    return Made(identifier, attributes)


def make_instance(request: Request) -> Made:
    """An instance of a cluster: the server is there already."""
    database = request.services.database
    identifier = request.properties.get("DBInstanceIdentifier", request.name.lower())
    return Made(
        identifier,
        {
            "DBInstanceArn": f"arn:aws:rds:{request.region}:{request.account}:db:{identifier}",
            "Endpoint.Address": database.host,
            "Endpoint.Port": str(database.port),
        },
    )


def delete_cluster(request: Change) -> None:
    """Delete the cluster's database, secret and network interface.

    Raises:
        LocalCloudError: the cluster is protected.
    """
    if request.properties.get("DeletionProtection"):
        raise LocalCloudError(f"Cannot delete protected Cluster {request.name}")
    if name := request.properties.get("DatabaseName"):
        request.services.database.drop(name)
    if request.properties.get("ManageMasterUserPassword"):
        request.client("secretsmanager").delete_secret(
            SecretId=_secret_name(request.name), ForceDeleteWithoutRecovery=True
        )
    ec2 = request.client("ec2")
    for interface in ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [_interface_name(request.name)]}]
    )["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])


def delete_instance(_request: Change) -> None:
    """Delete an instance of a cluster: the server goes with the cloud."""


def _make_interface(request: Request, identifier: str) -> None:
    """Put the cluster into one of its subnets, which cannot be deleted as long as it is there."""
    (group,) = request.client("rds").describe_db_subnet_groups(
        DBSubnetGroupName=request.properties["DBSubnetGroupName"]
    )["DBSubnetGroups"]
    request.client("ec2").create_network_interface(
        SubnetId=group["Subnets"][0]["SubnetIdentifier"],
        Groups=request.properties.get("VpcSecurityGroupIds", []),
        Description=_interface_name(identifier),
    )


def _interface_name(identifier: str) -> str:
    return f"RDSNetworkInterface {identifier}"


def _secret_name(identifier: str) -> str:
    return f"rds!cluster-{identifier}"


def _master_secret(request: Request, identifier: str, content: dict[str, str]) -> str:
    created = request.client("secretsmanager").create_secret(
        Name=_secret_name(identifier), SecretString=json.dumps(content)
    )
    return str(created["ARN"])
