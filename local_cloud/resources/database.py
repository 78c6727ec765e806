"""An Aurora cluster is a database on the real PostGIS."""

from __future__ import annotations

import json
import secrets

from local_cloud.resources.making import Made, Request


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
    attributes = {
        "DBClusterArn": arn,
        "DBClusterResourceId": f"cluster-{request.logical_id.upper()}",
        "Endpoint.Address": database.host,
        "Endpoint.Port": str(database.port),
        "ReadEndpoint.Address": database.host,
    }
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


def _master_secret(request: Request, identifier: str, content: dict[str, str]) -> str:
    created = request.client("secretsmanager").create_secret(
        Name=f"rds!cluster-{identifier}", SecretString=json.dumps(content)
    )
    return str(created["ARN"])
