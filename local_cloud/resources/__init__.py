"""CloudFormation resource types that moto lacks: how each is made in the local cloud."""

from local_cloud.resources.accepted import ACCEPTED, accept
from local_cloud.resources.database import make_cluster, make_instance
from local_cloud.resources.endpoints import (
    make_endpoint,
    make_endpoint_config,
    make_model,
)
from local_cloud.resources.functions import make_event_invoke_config, make_version
from local_cloud.resources.making import Made, Maker, Request
from local_cloud.resources.messaging import (
    make_queue_policy,
    make_subscription,
    make_topic_policy,
)
from local_cloud.resources.scaling import make_scalable_target, make_scaling_policy
from local_cloud.resources.storage import make_bucket_policy
from local_cloud.resources.triggers import make_trigger

__all__ = ["MAKERS", "Made", "Maker", "Request"]

MAKERS: dict[str, Maker] = {
    **dict.fromkeys(ACCEPTED, accept),
    "AWS::ApplicationAutoScaling::ScalableTarget": make_scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": make_scaling_policy,
    "AWS::Lambda::EventInvokeConfig": make_event_invoke_config,
    "AWS::Lambda::Version": make_version,
    "AWS::RDS::DBCluster": make_cluster,
    "AWS::RDS::DBInstance": make_instance,
    "AWS::S3::BucketPolicy": make_bucket_policy,
    "AWS::SageMaker::Endpoint": make_endpoint,
    "AWS::SageMaker::EndpointConfig": make_endpoint_config,
    "AWS::SageMaker::Model": make_model,
    "AWS::SNS::Subscription": make_subscription,
    "AWS::SNS::TopicPolicy": make_topic_policy,
    "AWS::SQS::QueuePolicy": make_queue_policy,
    "Custom::Trigger": make_trigger,
}
