"""Define the asynchronous endpoint, which queues requests and scales its hosts with the queue."""

from __future__ import annotations

from aws_cdk.aws_applicationautoscaling import CfnScalingPolicy
from aws_cdk.aws_cloudwatch import Alarm, CfnAlarm
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sagemaker import CfnEndpointConfig
from aws_cdk.aws_sns import Topic
from constructs import Construct

from infra.constructs.endpoint import NAMESPACE, Endpoint, Serving
from infra.constructs.endpoint_hosts import HostScaling, hosts
from infra.grants import allow, read_objects, write_objects
from swath.settings import EndpointKind, has_gpu

INVOCATIONS = "invocations"
# Maximum number of concurrent requests of a host: it reads one shard while it infers another.
_REQUESTS_PER_HOST = 2
# Target number of queued and running requests of a host; more than that add a host.
_BACKLOG_PER_HOST = 2


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
        serving: Serving,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            kind=EndpointKind.ASYNC,
            gpu=has_gpu(instance_type),
            serving=serving,
        )
        self.succeeded = Topic(self, "Succeeded", enforce_ssl=True)
        self.failed = Topic(self, "Failed", enforce_ssl=True)
        topics = [self.succeeded.topic_arn, self.failed.topic_arn]
        allow(self.role, "sns:Publish", on=topics)
        read_objects(self.role, serving.work, f"{INVOCATIONS}/*")
        write_objects(self.role, serving.work, f"{INVOCATIONS}/*")
        self.endpoint = self._deploy(
            hosts(instance_type),
            alarms=[self._errors_alarm(), self._silence_alarm(), self._failures_alarm()],
            async_inference=self._asynchronous(serving.work),
        )
        self._expiry_alarm()
        self._scale(max_instances)

    def _asynchronous(self, work: IBucket) -> CfnEndpointConfig.AsyncInferenceConfigProperty:
        answers = f"s3://{work.bucket_name}/{INVOCATIONS}"
        return CfnEndpointConfig.AsyncInferenceConfigProperty(
            client_config=CfnEndpointConfig.AsyncInferenceClientConfigProperty(
                max_concurrent_invocations_per_instance=_REQUESTS_PER_HOST
            ),
            output_config=CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
                s3_output_path=f"{answers}/answers",
                s3_failure_path=f"{answers}/failures",
                notification_config=CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                    success_topic=self.succeeded.topic_arn, error_topic=self.failed.topic_arn
                ),
            ),
        )

    def _scale(self, max_instances: int) -> None:
        """Scale by target tracking and by an alarm on requests without a host.

        Target tracking alone would leave a single request waiting forever without a host.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
        """
        scaling = HostScaling(self, "Scaling", endpoint=self.endpoint, least=0, most=max_instances)
        scaling.track(
            "Backlog",
            target=_BACKLOG_PER_HOST,
            customized_metric_specification=CfnScalingPolicy.CustomizedMetricSpecificationProperty(
                namespace=NAMESPACE,
                metric_name="ApproximateBacklogSizePerInstance",
                dimensions=[
                    CfnScalingPolicy.MetricDimensionProperty(name="EndpointName", value=self.name)
                ],
                statistic="Average",
            ),
        )
        waking = scaling.add_one("Waking")
        CfnAlarm(
            self,
            "BacklogWithoutCapacity",
            alarm_description=f"swath: {self.name} has requests and no host; one is started.",
            namespace=NAMESPACE,
            metric_name="HasBacklogWithoutCapacity",
            dimensions=[CfnAlarm.DimensionProperty(name="EndpointName", value=self.name)],
            statistic="Average",
            period=60,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="missing",
            alarm_actions=[waking.attr_arn],
        )

    def _silence_alarm(self) -> Alarm:
        return self._alarm(
            "Silence",
            of="NotificationFailures",
            description="cannot tell that it is done; shards wait for their time-out",
            statistic="Sum",
            threshold=0,
            sustained=False,
        )

    def _failures_alarm(self) -> Alarm:
        """Create the alarm on requests whose container died or did not respond in time.

        These are not 5XX errors: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
        """
        return self._alarm(
            "Failures",
            of="InvocationFailures",
            description="gives no answer to requests: its container dies or takes too long",
            statistic="Sum",
            threshold=0,
            sustained=True,
        )

    def _expiry_alarm(self) -> Alarm:
        """Create the alarm on requests that got no host; it does not roll back a deployment."""
        return self._alarm(
            "Expiry",
            of="ExpiredRequests",
            description="had no host for requests in time; they are tried again",
            statistic="Sum",
            threshold=0,
            sustained=False,
        )
