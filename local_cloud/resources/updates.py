"""Change resources of each type in place.

`local_cloud/stacks/schemas.py` determines what must be replaced instead. A type that is missing
here cannot be changed: the update fails and names it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.batch.models import JobDefinition
from moto.sagemaker.models import sagemaker_backends

from local_cloud.errors import LocalCloudError
from local_cloud.resources.accepted import ACCEPTED_TYPES, accept_resource
from local_cloud.resources.functions import create_event_invoke_config
from local_cloud.resources.messaging import create_queue_policy, create_topic_policy
from local_cloud.resources.model import (
    ChangeRequest,
    CreatedResource,
    MotoResource,
    ResourceFactory,
)
from local_cloud.resources.scaling import create_scalable_target, create_scaling_policy
from local_cloud.resources.state_machines import fill_definition
from local_cloud.resources.storage import configure_bucket, create_bucket_policy
from local_cloud.resources.triggers import update_trigger

_RULE_KEYS = ("Description", "EventPattern", "ScheduleExpression", "State", "RoleArn")
# Types whose creation overwrites all settings, and therefore also serves as their update.
_RECREATED_TYPES: Mapping[str, ResourceFactory] = {
    **dict.fromkeys(ACCEPTED_TYPES, accept_resource),
    "AWS::ApplicationAutoScaling::ScalableTarget": create_scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": create_scaling_policy,
    "AWS::Lambda::EventInvokeConfig": create_event_invoke_config,
    "AWS::S3::BucketPolicy": create_bucket_policy,
    "AWS::SNS::TopicPolicy": create_topic_policy,
    "AWS::SQS::QueuePolicy": create_queue_policy,
}


def update_resource(kind: str, request: ChangeRequest) -> Any:
    """Change a resource; return the object that represents it in moto from now on.

    Raises:
        LocalCloudError: Resources of this type cannot be changed in place here.
    """
    if kind in _RECREATED_TYPES:
        return MotoResource(_RECREATED_TYPES[kind](request))
    if kind not in _UPDATES:
        changed = sorted(
            name
            for name in {**request.old, **request.properties}
            if request.old.get(name) != request.properties.get(name)
        )
        raise LocalCloudError(
            f"the local cloud cannot change a {kind} in place: {', '.join(changed)}"
        )
    changed_resource = _UPDATES[kind](request)
    if isinstance(changed_resource, CreatedResource):
        return MotoResource(changed_resource)
    return request.resource if changed_resource is None else changed_resource


def _update_function(request: ChangeRequest) -> Any:
    """Replace a function's code and settings; processes of the old version get no more events."""
    properties = {"Environment": {"Variables": {}}, **copy.deepcopy(dict(request.properties))}
    return LambdaFunction.update_from_cloudformation_json(
        request.resource,
        request.name,
        {"Properties": properties},
        request.account,
        request.region,
    )


def _update_role(request: ChangeRequest) -> None:
    aws, new, old = request.client("iam"), request.properties, request.old
    aws.update_assume_role_policy(
        RoleName=request.name, PolicyDocument=json.dumps(new["AssumeRolePolicyDocument"])
    )
    managed, before = set(new.get("ManagedPolicyArns", ())), set(old.get("ManagedPolicyArns", ()))
    for arn in managed - before:
        aws.attach_role_policy(RoleName=request.name, PolicyArn=arn)
    for arn in before - managed:
        aws.detach_role_policy(RoleName=request.name, PolicyArn=arn)
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies", ())}
    for name, document in inline.items():
        aws.put_role_policy(
            RoleName=request.name, PolicyName=name, PolicyDocument=json.dumps(document)
        )
    for policy in old.get("Policies", ()):
        if policy["PolicyName"] not in inline:
            aws.delete_role_policy(RoleName=request.name, PolicyName=policy["PolicyName"])


def _update_policy(request: ChangeRequest) -> None:
    aws, new = request.client("iam"), request.properties
    for role in new["Roles"]:
        aws.put_role_policy(
            RoleName=role,
            PolicyName=new["PolicyName"],
            PolicyDocument=json.dumps(new["PolicyDocument"]),
        )
    for role in set(request.old["Roles"]) - set(new["Roles"]):
        aws.delete_role_policy(RoleName=role, PolicyName=request.old["PolicyName"])


def _update_log_group(request: ChangeRequest) -> None:
    aws, days = request.client("logs"), request.properties.get("RetentionInDays")
    if days:
        aws.put_retention_policy(logGroupName=request.name, retentionInDays=int(days))
    else:
        aws.delete_retention_policy(logGroupName=request.name)


def _update_bucket(request: ChangeRequest) -> None:
    configure_bucket(request.client("s3"), request.name, request.properties)


def _update_queue(request: ChangeRequest) -> None:
    attributes = {
        name: json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in request.properties.items()
        if name not in {"QueueName", "Tags"}
    }
    request.client("sqs").set_queue_attributes(QueueUrl=request.name, Attributes=attributes)


def _update_rule(request: ChangeRequest) -> None:
    aws, new = request.client("events"), request.properties
    settings = {name: new[name] for name in _RULE_KEYS if name in new}
    if "EventPattern" in settings:
        settings["EventPattern"] = json.dumps(settings["EventPattern"])
    aws.put_rule(Name=request.name, **settings)
    targets = new.get("Targets", [])
    removed = {t["Id"] for t in request.old.get("Targets", [])} - {t["Id"] for t in targets}
    if removed:
        aws.remove_targets(Rule=request.name, Ids=sorted(removed))
    if targets:
        aws.put_targets(Rule=request.name, Targets=targets)


def _update_state_machine(request: ChangeRequest) -> None:
    """Change what new executions run; running executions and their redrives keep the old one."""
    request.client("stepfunctions").update_state_machine(
        stateMachineArn=request.name,
        definition=fill_definition(request.properties),
        roleArn=request.properties["RoleArn"],
    )


def _update_job_definition(request: ChangeRequest) -> Any:
    """Register a revision and, unless its policy skips this, deregister the previous one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-batch-jobdefinition-resourceretentionpolicy.html
    """
    name = request.name.rpartition("/")[2].rpartition(":")[0]
    new = JobDefinition.create_from_cloudformation_json(
        name, {"Properties": copy.deepcopy(request.properties)}, request.account, request.region
    )
    retention = request.properties.get("ResourceRetentionPolicy", {})
    if str(retention.get("SkipDeregisterOnUpdate", False)).lower() != "true":
        request.client("batch").deregister_job_definition(jobDefinition=request.name)
    return new


def _update_job_queue(request: ChangeRequest) -> None:
    new = request.properties
    request.client("batch").update_job_queue(
        jobQueue=request.name,
        priority=new["Priority"],
        state=new.get("State", "ENABLED"),
        computeEnvironmentOrder=[
            {"order": entry["Order"], "computeEnvironment": entry["ComputeEnvironment"]}
            for entry in new["ComputeEnvironmentOrder"]
        ],
    )


def _update_launch_template(request: ChangeRequest) -> None:
    request.client("ec2").create_launch_template_version(
        LaunchTemplateId=request.name,
        LaunchTemplateData=request.properties["LaunchTemplateData"],
    )


def _update_endpoint(request: ChangeRequest) -> None:
    """Switch to another configuration without a rollout; moto has no UpdateEndpoint."""
    name = request.properties["EndpointConfigName"]
    backend = sagemaker_backends[request.account][request.region]
    endpoint = backend.endpoints[request.name.rpartition("/")[2]]
    variants = backend.describe_endpoint_config(name)["ProductionVariants"]
    endpoint.endpoint_config_name = name
    process = endpoint._process_production_variants  # noqa: SLF001 - moto has no public method
    endpoint.production_variants = process(variants)


def _update_database(request: ChangeRequest) -> None:
    """Accept settings, none of which has an effect here; refuse a downgrade, as RDS does."""
    old, new = (
        tuple(int(part) for part in properties.get("EngineVersion", "0").split("."))
        for properties in (request.old, request.properties)
    )
    if new < old:
        raise LocalCloudError(
            f"cannot downgrade from {request.old['EngineVersion']} to "
            f"{request.properties.get('EngineVersion')}"
        )


def _ignore_settings(_request: ChangeRequest) -> None:
    """Accept settings of hosts, which do not exist here."""


_UPDATES: Mapping[str, Callable[[ChangeRequest], Any]] = {
    "AWS::Batch::ComputeEnvironment": _ignore_settings,
    "AWS::Batch::JobDefinition": _update_job_definition,
    "AWS::Batch::JobQueue": _update_job_queue,
    "AWS::EC2::LaunchTemplate": _update_launch_template,
    "AWS::Events::Rule": _update_rule,
    "AWS::IAM::Policy": _update_policy,
    "AWS::IAM::Role": _update_role,
    "AWS::Lambda::Function": _update_function,
    "AWS::Logs::LogGroup": _update_log_group,
    "AWS::RDS::DBCluster": _update_database,
    "AWS::RDS::DBInstance": _update_database,
    "AWS::S3::Bucket": _update_bucket,
    "AWS::SQS::Queue": _update_queue,
    "AWS::SageMaker::Endpoint": _update_endpoint,
    "AWS::StepFunctions::StateMachine": _update_state_machine,
    "Custom::Trigger": update_trigger,
}
