"""Create resources of the CloudFormation types that moto lacks."""

from local_cloud.resources.accepted import ACCEPTED_TYPES, accept_resource
from local_cloud.resources.database import (
    create_cluster,
    create_instance,
    create_subnet_group,
)
from local_cloud.resources.endpoints import (
    create_endpoint,
    create_endpoint_config,
    create_model,
)
from local_cloud.resources.functions import (
    create_event_invoke_config,
    create_permission,
    create_version,
)
from local_cloud.resources.messaging import (
    create_queue_policy,
    create_subscription,
    create_topic_policy,
)
from local_cloud.resources.model import (
    CreatedResource,
    MotoResource,
    ResourceFactory,
    ResourceRequest,
)
from local_cloud.resources.network import create_route_table_association
from local_cloud.resources.scaling import create_scalable_target, create_scaling_policy
from local_cloud.resources.storage import create_bucket_policy
from local_cloud.resources.triggers import create_trigger

__all__ = ["FACTORIES", "CreatedResource", "MotoResource", "ResourceFactory", "ResourceRequest"]

FACTORIES: dict[str, ResourceFactory] = {
    **dict.fromkeys(ACCEPTED_TYPES, accept_resource),
    "AWS::ApplicationAutoScaling::ScalableTarget": create_scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": create_scaling_policy,
    "AWS::EC2::SubnetRouteTableAssociation": create_route_table_association,
    "AWS::Lambda::EventInvokeConfig": create_event_invoke_config,
    "AWS::Lambda::Permission": create_permission,
    "AWS::Lambda::Version": create_version,
    "AWS::RDS::DBCluster": create_cluster,
    "AWS::RDS::DBInstance": create_instance,
    "AWS::RDS::DBSubnetGroup": create_subnet_group,
    "AWS::S3::BucketPolicy": create_bucket_policy,
    "AWS::SageMaker::Endpoint": create_endpoint,
    "AWS::SageMaker::EndpointConfig": create_endpoint_config,
    "AWS::SageMaker::Model": create_model,
    "AWS::SNS::Subscription": create_subscription,
    "AWS::SNS::TopicPolicy": create_topic_policy,
    "AWS::SQS::QueuePolicy": create_queue_policy,
    "Custom::Trigger": create_trigger,
}
