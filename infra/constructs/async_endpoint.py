"""Define the asynchronous endpoint, which queues requests and scales its hosts with the queue."""

from __future__ import annotations

from aws_cdk.aws_applicationautoscaling import CfnScalingPolicy
from aws_cdk.aws_cloudwatch import Alarm, CfnAlarm
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sagemaker import CfnEndpointConfig
from aws_cdk.aws_sns import Topic
from constructs import Construct

from infra.constructs.endpoint import SAGEMAKER_NAMESPACE, Endpoint, EndpointResources
from infra.constructs.endpoint_hosts import HostScaling, host_properties
from infra.grants import allow, read_objects, write_objects
from swath.settings import EndpointKind, has_gpu

INVOCATIONS_FOLDER = "invocations"
# Maximum number of concurrent requests of a host: it reads one shard while it infers another.
_MAX_REQUESTS_PER_HOST = 2
# Target number of queued and running requests of a host; more than that add a host.
_TARGET_BACKLOG_PER_HOST = 2


class AsyncEndpoint(Endpoint):
    """Endpoint `<stack>-async`, which scales with its queue, down to no host.

    Attributes:
        succeeded: Topic for SageMaker's notifications about successful requests.
        failed: Topic for SageMaker's notifications about failed requests.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        instance_type: str,
        max_instances: int,
        resources: EndpointResources,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            kind=EndpointKind.ASYNC,
            gpu=has_gpu(instance_type),
            resources=resources,
        )
        self.succeeded = Topic(self, "Succeeded", enforce_ssl=True)
        self.failed = Topic(self, "Failed", enforce_ssl=True)
        topics = [self.succeeded.topic_arn, self.failed.topic_arn]
        allow(self.role, "sns:Publish", on=topics)
        read_objects(self.role, resources.work, f"{INVOCATIONS_FOLDER}/*")
        write_objects(self.role, resources.work, f"{INVOCATIONS_FOLDER}/*")
        self.endpoint = self._add_endpoint(
            host_properties(instance_type),
            alarms=[
                self._add_errors_alarm(),
                self._add_notification_alarm(),
                self._add_failures_alarm(),
            ],
            async_inference=self._async_inference_config(resources.work),
        )
        self._add_expiry_alarm()
        self._add_scaling(max_instances)

    def _async_inference_config(
        self, work: IBucket
    ) -> CfnEndpointConfig.AsyncInferenceConfigProperty:
        output = f"s3://{work.bucket_name}/{INVOCATIONS_FOLDER}"
        return CfnEndpointConfig.AsyncInferenceConfigProperty(
            client_config=CfnEndpointConfig.AsyncInferenceClientConfigProperty(
                max_concurrent_invocations_per_instance=_MAX_REQUESTS_PER_HOST
            ),
            output_config=CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
                s3_output_path=f"{output}/answers",
                s3_failure_path=f"{output}/failures",
                notification_config=CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                    success_topic=self.succeeded.topic_arn, error_topic=self.failed.topic_arn
                ),
            ),
        )

    def _add_scaling(self, max_instances: int) -> None:
        """Scale by target tracking and by an alarm on requests without a host.

        Target tracking alone would leave a single request waiting forever without a host.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
        """
        scaling = HostScaling(
            self, "Scaling", endpoint=self.endpoint, min_hosts=0, max_hosts=max_instances
        )
        scaling.add_target_tracking(
            "Backlog",
            target=_TARGET_BACKLOG_PER_HOST,
            customized_metric_specification=CfnScalingPolicy.CustomizedMetricSpecificationProperty(
                namespace=SAGEMAKER_NAMESPACE,
                metric_name="ApproximateBacklogSizePerInstance",
                dimensions=[
                    CfnScalingPolicy.MetricDimensionProperty(name="EndpointName", value=self.name)
                ],
                statistic="Average",
            ),
        )
        wake_policy = scaling.add_wake_policy("Waking")
        CfnAlarm(
            self,
            "BacklogWithoutCapacity",
            alarm_description=f"swath: {self.name} has requests and no host; one is started.",
            namespace=SAGEMAKER_NAMESPACE,
            metric_name="HasBacklogWithoutCapacity",
            dimensions=[CfnAlarm.DimensionProperty(name="EndpointName", value=self.name)],
            statistic="Average",
            period=60,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="missing",
            alarm_actions=[wake_policy.attr_arn],
        )

    def _add_notification_alarm(self) -> Alarm:
        return self._add_alarm(
            "Silence",
            metric_name="NotificationFailures",
            description="cannot send notifications, so shards wait until their timeout",
            statistic="Sum",
            threshold=0,
            is_sustained=False,
        )

    def _add_failures_alarm(self) -> Alarm:
        """Create the alarm on requests whose container died or did not respond in time.

        These are not 5XX errors: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
        """
        return self._add_alarm(
            "Failures",
            metric_name="InvocationFailures",
            description="does not respond to requests: its container exits or is too slow",
            statistic="Sum",
            threshold=0,
            is_sustained=True,
        )

    def _add_expiry_alarm(self) -> Alarm:
        """Create the alarm on requests that got no host; it does not roll back a deployment."""
        return self._add_alarm(
            "Expiry",
            metric_name="ExpiredRequests",
            description="had no host for some requests in time; the run retries these",
            statistic="Sum",
            threshold=0,
            is_sustained=False,
        )
