"""Create an Aurora cluster as a database on the real PostGIS, with a network interface."""

from __future__ import annotations

import json
import secrets

from local_cloud.errors import LocalCloudError
from local_cloud.resources.model import ChangeRequest, CreatedResource, ResourceRequest


def create_subnet_group(request: ResourceRequest) -> CreatedResource:
    """Create a named group of subnets; a group that moto creates from a template has no name."""
    name = request.properties.get("DBSubnetGroupName", request.name).lower()
    request.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name,
        DBSubnetGroupDescription=request.properties["DBSubnetGroupDescription"],
        SubnetIds=request.properties["SubnetIds"],
    )
    return CreatedResource(name)


def create_cluster(request: ResourceRequest) -> CreatedResource:
    """Create the cluster's database, its master user, and a secret with that user's password."""
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
        _create_network_interface(request, identifier)
    if properties.get("ManageMasterUserPassword"):
        attributes["MasterUserSecret.SecretArn"] = _create_master_secret(
            request, identifier, {"username": user, "password": password}
        )
    return CreatedResource(identifier, attributes)


def create_instance(request: ResourceRequest) -> CreatedResource:
    """Accept an instance of a cluster, whose server runs already."""
    database = request.services.database
    identifier = request.properties.get("DBInstanceIdentifier", request.name.lower())
    return CreatedResource(
        identifier,
        {
            "DBInstanceArn": f"arn:aws:rds:{request.region}:{request.account}:db:{identifier}",
            "Endpoint.Address": database.host,
            "Endpoint.Port": str(database.port),
        },
    )


def delete_cluster(request: ChangeRequest) -> None:
    """Delete the cluster's database, secret and network interface.

    Raises:
        LocalCloudError: The cluster has deletion protection.
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


def delete_instance(_request: ChangeRequest) -> None:
    """Accept the deletion of an instance; the server ends with the cloud."""


def _create_network_interface(request: ResourceRequest, identifier: str) -> None:
    """Create the cluster's interface in one of its subnets, which cannot be deleted meanwhile."""
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


def _create_master_secret(
    request: ResourceRequest, identifier: str, content: dict[str, str]
) -> str:
    created = request.client("secretsmanager").create_secret(
        Name=_secret_name(identifier), SecretString=json.dumps(content)
    )
    return str(created["ARN"])
