"""Create parts of a network that moto creates without a usable name."""

from __future__ import annotations

from local_cloud.resources.making import Made, Request


def make_route_table_association(request: Request) -> Made:
    """Associate a subnet with a route table; moto returns the table instead of the association."""
    answer = request.client("ec2").associate_route_table(
        RouteTableId=request.properties["RouteTableId"], SubnetId=request.properties["SubnetId"]
    )
    return Made(answer["AssociationId"])
