"""Parts of a network that moto makes without a name of their own."""

from __future__ import annotations

from local_cloud.resources.making import Made, Request


def make_route_table_association(request: Request) -> Made:
    """Let a subnet route by a table; moto takes the table for the association."""
    answer = request.client("ec2").associate_route_table(
        RouteTableId=request.properties["RouteTableId"], SubnetId=request.properties["SubnetId"]
    )
    return Made(answer["AssociationId"])
