"""Delete resources of each type with the API call that CloudFormation makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from local_cloud.errors import LocalCloudError
from local_cloud.resources.accepted import ACCEPTED_TYPES
from local_cloud.resources.database import delete_cluster, delete_instance
from local_cloud.resources.model import ChangeRequest
from local_cloud.resources.scaling import TARGET_KEYS

# Service, API call, and the argument that takes the physical id.
_API_CALLS: Mapping[str, tuple[str, str, str]] = {
    "AWS::EC2::InternetGateway": ("ec2", "delete_internet_gateway", "InternetGatewayId"),
    "AWS::EC2::LaunchTemplate": ("ec2", "delete_launch_template", "LaunchTemplateId"),
    "AWS::EC2::RouteTable": ("ec2", "delete_route_table", "RouteTableId"),
    "AWS::EC2::SecurityGroup": ("ec2", "delete_security_group", "GroupId"),
    "AWS::EC2::Subnet": ("ec2", "delete_subnet", "SubnetId"),
    "AWS::EC2::SubnetRouteTableAssociation": ("ec2", "disassociate_route_table", "AssociationId"),
    "AWS::EC2::VPC": ("ec2", "delete_vpc", "VpcId"),
    "AWS::Batch::JobDefinition": ("batch", "deregister_job_definition", "jobDefinition"),
    "AWS::Lambda::Function": ("lambda", "delete_function", "FunctionName"),
    "AWS::Lambda::Version": ("lambda", "delete_function", "FunctionName"),
    "AWS::Logs::LogGroup": ("logs", "delete_log_group", "logGroupName"),
    "AWS::RDS::DBSubnetGroup": ("rds", "delete_db_subnet_group", "DBSubnetGroupName"),
    "AWS::S3::Bucket": ("s3", "delete_bucket", "Bucket"),
    "AWS::S3::BucketPolicy": ("s3", "delete_bucket_policy", "Bucket"),
    "AWS::SNS::Subscription": ("sns", "unsubscribe", "SubscriptionArn"),
    "AWS::SNS::Topic": ("sns", "delete_topic", "TopicArn"),
    "AWS::SQS::Queue": ("sqs", "delete_queue", "QueueUrl"),
    "AWS::StepFunctions::StateMachine": (
        *("stepfunctions", "delete_state_machine"),
        "stateMachineArn",
    ),
}
# Resources that are deleted with another resource, or do not exist here.
_UNDELETED_TYPES = {
    *ACCEPTED_TYPES,
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "Custom::Trigger",
}


def delete_resource(kind: str, request: ChangeRequest) -> None:
    """Delete a resource.

    Raises:
        LocalCloudError: Resources of this type cannot be deleted here.
        ClientError: The service refused the deletion.
    """
    if kind in _API_CALLS:
        service, call, argument = _API_CALLS[kind]
        getattr(request.client(service), call)(**{argument: request.name})
    elif kind in _DELETIONS:
        _DELETIONS[kind](request)
    elif kind not in _UNDELETED_TYPES:
        raise LocalCloudError(f"the local cloud cannot delete a {kind}")


def _delete_compute_environment(request: ChangeRequest) -> None:
    aws = request.client("batch")
    aws.update_compute_environment(computeEnvironment=request.name, state="DISABLED")
    aws.delete_compute_environment(computeEnvironment=request.name)


def _delete_job_queue(request: ChangeRequest) -> None:
    aws = request.client("batch")
    aws.update_job_queue(jobQueue=request.name, state="DISABLED")
    aws.delete_job_queue(jobQueue=request.name)


def _delete_route(request: ChangeRequest) -> None:
    request.client("ec2").delete_route(
        RouteTableId=request.properties["RouteTableId"],
        DestinationCidrBlock=request.properties["DestinationCidrBlock"],
    )


def _delete_ingress(request: ChangeRequest) -> None:
    rule = request.properties
    request.client("ec2").revoke_security_group_ingress(
        GroupId=rule["GroupId"],
        IpPermissions=[
            {
                "IpProtocol": rule["IpProtocol"],
                "FromPort": int(rule["FromPort"]),
                "ToPort": int(rule["ToPort"]),
                "UserIdGroupPairs": [{"GroupId": rule["SourceSecurityGroupId"]}],
            }
        ],
    )


def _delete_vpc_endpoint(request: ChangeRequest) -> None:
    request.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[request.name])


def _detach_gateway(request: ChangeRequest) -> None:
    request.client("ec2").detach_internet_gateway(
        InternetGatewayId=request.properties["InternetGatewayId"],
        VpcId=request.properties["VpcId"],
    )


def _delete_rule(request: ChangeRequest) -> None:
    aws = request.client("events")
    if targets := [target["Id"] for target in request.properties.get("Targets", ())]:
        aws.remove_targets(Rule=request.name, Ids=targets)
    aws.delete_rule(Name=request.name)


def _delete_role(request: ChangeRequest) -> None:
    aws = request.client("iam")
    for policy in aws.list_attached_role_policies(RoleName=request.name)["AttachedPolicies"]:
        aws.detach_role_policy(RoleName=request.name, PolicyArn=policy["PolicyArn"])
    for policy in request.properties.get("Policies", ()):
        aws.delete_role_policy(RoleName=request.name, PolicyName=policy["PolicyName"])
    aws.delete_role(RoleName=request.name)


def _delete_policy(request: ChangeRequest) -> None:
    for role in request.properties["Roles"]:
        request.client("iam").delete_role_policy(
            RoleName=role, PolicyName=request.properties["PolicyName"]
        )


def _delete_instance_profile(request: ChangeRequest) -> None:
    aws = request.client("iam")
    for role in request.properties["Roles"]:
        aws.remove_role_from_instance_profile(InstanceProfileName=request.name, RoleName=role)
    aws.delete_instance_profile(InstanceProfileName=request.name)


def _delete_permission(request: ChangeRequest) -> None:
    request.client("lambda").remove_permission(
        FunctionName=request.properties["FunctionName"], StatementId=request.name
    )


def _delete_event_invoke_config(request: ChangeRequest) -> None:
    request.client("lambda").delete_function_event_invoke_config(
        FunctionName=request.properties["FunctionName"]
    )


def _delete_scalable_target(request: ChangeRequest) -> None:
    parts = dict(zip(TARGET_KEYS, request.name.split("|"), strict=True))
    request.client("application-autoscaling").deregister_scalable_target(**parts)


def _delete_scaling_policy(request: ChangeRequest) -> None:
    policy = request.properties
    parts = (
        dict(zip(TARGET_KEYS, policy["ScalingTargetId"].split("|"), strict=True))
        if "ScalingTargetId" in policy
        else {name: policy[name] for name in TARGET_KEYS}
    )
    request.client("application-autoscaling").delete_scaling_policy(
        PolicyName=policy["PolicyName"], **parts
    )


def _delete_by_name(call: str, argument: str) -> Callable[[ChangeRequest], None]:
    """Return a function that deletes a resource whose name is the last part of its ARN."""

    def delete(request: ChangeRequest) -> None:
        name = request.name.rpartition("/")[2]
        getattr(request.client("sagemaker"), call)(**{argument: name})

    return delete


_DELETIONS: Mapping[str, Callable[[ChangeRequest], None]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": _delete_scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": _delete_scaling_policy,
    "AWS::Batch::ComputeEnvironment": _delete_compute_environment,
    "AWS::Batch::JobQueue": _delete_job_queue,
    "AWS::EC2::Route": _delete_route,
    "AWS::EC2::SecurityGroupIngress": _delete_ingress,
    "AWS::EC2::VPCEndpoint": _delete_vpc_endpoint,
    "AWS::EC2::VPCGatewayAttachment": _detach_gateway,
    "AWS::Events::Rule": _delete_rule,
    "AWS::IAM::InstanceProfile": _delete_instance_profile,
    "AWS::IAM::Policy": _delete_policy,
    "AWS::IAM::Role": _delete_role,
    "AWS::Lambda::EventInvokeConfig": _delete_event_invoke_config,
    "AWS::Lambda::Permission": _delete_permission,
    "AWS::RDS::DBCluster": delete_cluster,
    "AWS::RDS::DBInstance": delete_instance,
    "AWS::SageMaker::Endpoint": _delete_by_name("delete_endpoint", "EndpointName"),
    "AWS::SageMaker::EndpointConfig": _delete_by_name(
        "delete_endpoint_config", "EndpointConfigName"
    ),
    "AWS::SageMaker::Model": _delete_by_name("delete_model", "ModelName"),
}
