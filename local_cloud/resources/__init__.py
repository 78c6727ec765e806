"""Create resources of the CloudFormation types that moto lacks."""

from local_cloud.resources.accepted import ACCEPTED, accept
from local_cloud.resources.database import (
    make_cluster,
    make_instance,
    make_subnet_group,
)
from local_cloud.resources.endpoints import (
    make_endpoint,
    make_endpoint_config,
    make_model,
)
from local_cloud.resources.functions import (
    make_event_invoke_config,
    make_permission,
    make_version,
)
from local_cloud.resources.making import Made, MadeResource, Maker, Request
from local_cloud.resources.messaging import (
    make_queue_policy,
    make_subscription,
    make_topic_policy,
)
from local_cloud.resources.network import make_route_table_association
from local_cloud.resources.scaling import make_scalable_target, make_scaling_policy
from local_cloud.resources.storage import make_bucket_policy
from local_cloud.resources.triggers import make_trigger

__all__ = ["MAKERS", "Made", "MadeResource", "Maker", "Request"]

MAKERS: dict[str, Maker] = {
    **dict.fromkeys(ACCEPTED, accept),
    "AWS::ApplicationAutoScaling::ScalableTarget": make_scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": make_scaling_policy,
    "AWS::EC2::SubnetRouteTableAssociation": make_route_table_association,
    "AWS::Lambda::EventInvokeConfig": make_event_invoke_config,
    "AWS::Lambda::Permission": make_permission,
    "AWS::Lambda::Version": make_version,
    "AWS::RDS::DBCluster": make_cluster,
    "AWS::RDS::DBInstance": make_instance,
    "AWS::RDS::DBSubnetGroup": make_subnet_group,
    "AWS::S3::BucketPolicy": make_bucket_policy,
    "AWS::SageMaker::Endpoint": make_endpoint,
    "AWS::SageMaker::EndpointConfig": make_endpoint_config,
    "AWS::SageMaker::Model": make_model,
    "AWS::SNS::Subscription": make_subscription,
    "AWS::SNS::TopicPolicy": make_topic_policy,
    "AWS::SQS::QueuePolicy": make_queue_policy,
    "Custom::Trigger": make_trigger,
}
