"""Create parts of a network that moto creates without a usable name."""

from __future__ import annotations

from local_cloud.resources.model import CreatedResource, ResourceRequest


def create_route_table_association(request: ResourceRequest) -> CreatedResource:
    """Associate a subnet with a route table; moto returns the table instead of the association."""
    response = request.client("ec2").associate_route_table(
        RouteTableId=request.properties["RouteTableId"], SubnetId=request.properties["SubnetId"]
    )
    return CreatedResource(response["AssociationId"])
