"""Define the network, which costs nothing while it is idle."""

from __future__ import annotations

from aws_cdk import Fn, RemovalPolicies
from aws_cdk.aws_ec2 import (
    FlowLogDestination,
    FlowLogOptions,
    FlowLogTrafficType,
    GatewayVpcEndpointAwsService,
    GatewayVpcEndpointOptions,
    Peer,
    Port,
    SecurityGroup,
    SubnetConfiguration,
    SubnetType,
    Vpc,
)
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.name_tags import tag_by_path

POSTGRES_PORT = 5432
# Aurora needs two zones, and every region has them.
MIN_ZONES = 2
# GPU hosts are not available in every zone, so a third zone helps; subnets cost nothing.
_MAX_ZONES = 3
_FLOW_LOG_NAME = "Rejected"


class Network(Construct):
    """VPC with isolated subnets for the database and its functions, and public ones for GPU hosts.

    There is no NAT gateway and no interface endpoint, since both are paid for by the hour. The
    functions reach S3 through its gateway endpoint, which is free, and need no other service. GPU
    hosts have public addresses, but accept no connections.

    Attributes:
        vpc: VPC.
        database: Security group of the database, which accepts connections from `database_clients`
            on PostgreSQL's port.
        database_clients: Security group that may connect to the database and to S3.
        gpu_hosts: Security group that may connect anywhere and accepts no connections; None without
            GPU hosts.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        logs: IBucket,
        zones: int,
        gpu_hosts: bool,
        retain: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        if retain:
            # EC2 cannot delete a subnet or security group that a database uses.
            RemovalPolicies.of(self).retain()
        zone_count = min(zones, _MAX_ZONES)
        self.vpc = Vpc(
            self,
            "Vpc",
            availability_zones=[Fn.select(zone, Fn.get_azs()) for zone in range(zone_count)],
            nat_gateways=0,
            # The CDK would remove the default security group's rules by a function that runs at
            # deployment. Nothing here is in that group.
            restrict_default_security_group=False,
            subnet_configuration=[
                SubnetConfiguration(name="public", subnet_type=SubnetType.PUBLIC),
                SubnetConfiguration(name="isolated", subnet_type=SubnetType.PRIVATE_ISOLATED),
            ],
            gateway_endpoints={
                "S3": GatewayVpcEndpointOptions(service=GatewayVpcEndpointAwsService.S3)
            },
            flow_logs={
                _FLOW_LOG_NAME: FlowLogOptions(
                    destination=FlowLogDestination.to_s3(logs, "flow"),
                    traffic_type=FlowLogTrafficType.REJECT,
                )
            },
        )
        subnets = (*self.vpc.public_subnets, *self.vpc.isolated_subnets)
        tag_by_path(self.vpc, self.vpc.node.find_child(_FLOW_LOG_NAME), *subnets)
        self.database = self._add_security_group("Database", "The database")
        self.database_clients = self._add_security_group(
            "DatabaseClients", "Functions that use the database"
        )
        self.gpu_hosts = (
            self._add_security_group("GpuHosts", "Hosts of GPU jobs", allows_outbound=True)
            if gpu_hosts
            else None
        )
        self.database.add_ingress_rule(self.database_clients, Port.tcp(POSTGRES_PORT))
        self.database_clients.add_egress_rule(self.database, Port.tcp(POSTGRES_PORT))
        # The only route out of the subnets is the endpoint, whose addresses are not known here.
        self.database_clients.add_egress_rule(Peer.any_ipv4(), Port.HTTPS, "S3")

    def _add_security_group(
        self, name: str, description: str, *, allows_outbound: bool = False
    ) -> SecurityGroup:
        return SecurityGroup(
            self, name, vpc=self.vpc, description=description, allow_all_outbound=allows_outbound
        )
