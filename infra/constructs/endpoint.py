"""A SageMaker endpoint that serves the default model: what all kinds of them have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, CfnTag, Duration, RemovalPolicy, Stack
from aws_cdk.aws_cloudwatch import Alarm, ComparisonOperator, Metric, TreatMissingData
from aws_cdk.aws_cloudwatch_actions import SnsAction
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sagemaker import CfnEndpoint, CfnEndpointConfig, CfnModel
from aws_cdk.aws_sns import ITopic
from constructs import Construct

from infra.constructs.model_catalogue import DeployedModel, ModelCatalogue
from infra.constructs.region import region_variables
from infra.constructs.sagemaker_role import SageMakerRole
from infra.grants import read_objects, write_objects
from infra.images import serving_image
from swath.settings import DeviceSettings, EndpointKind

VARIANT = "AllTraffic"
NAMESPACE = "AWS/SageMaker"
# How long the hosts of the last model are kept beside those of the new one, with the alarms on
# guard.
_BAKING = Duration.minutes(10)
# Of a deployment: GPU hosts are not always to be had at once.
_PATIENCE = Duration.hours(1)
_ERROR_SHARE = 0.1
# Minutes, and how many of them in a row are looked at: of a share or a mean, one request that fails
# in a quiet minute is all of that minute's.
_SUSTAINED = (2, 3)
_AT_ONCE = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What every kind of endpoint is given of the stack."""

    models: ModelCatalogue
    scenes: IBucket
    work: IBucket
    topic: ITopic
    log_retention: RetentionDays


class Endpoint(Construct):
    """A model, the configuration and the endpoint, whose name never changes.

    A model is immutable on SageMaker: another package is another model and another configuration,
    and the endpoint changes over to it, blue to green, unless an alarm goes off. They carry no
    names, so that CloudFormation can make the new ones before it deletes the old; their tags say
    which package they are of.

    It is in no VPC: S3 is all that a container asks for, serverless endpoints cannot be in one,
    and in two zones' subnets SageMaker would find fewer GPU hosts than in the region. What a
    container may read and write is its role's business.

    Attributes:
        name: of the endpoint.
        arn: what permissions to call it are for.
        role: of the container.
        endpoint: the endpoint.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: EndpointKind,
        gpu: bool,
        serving: Serving,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = f"{Stack.of(self).stack_name}-{kind}"
        self.arn = (
            f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:endpoint/{self.name}"
        )
        self._topic = serving.topic
        self._tags = [
            CfnTag(key="swath:model", value=serving.models.default.name),
            CfnTag(key="swath:digest", value=serving.models.default.digest),
        ]
        self._logs = LogGroup(
            self,
            "Logs",
            # SageMaker's choice.
            log_group_name=f"/aws/sagemaker/Endpoints/{self.name}",
            retention=serving.log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        image = serving_image(self, "Image", gpu=gpu)
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.write_to(self._logs)
        serving.models.grant_read_packages(self.role)
        read_objects(self.role, serving.scenes)
        read_objects(self.role, serving.work, "runs/*")
        write_objects(self.role, serving.work, "runs/*")
        device = DeviceSettings(device="cuda" if gpu else "cpu")
        self._model = self._serve(serving.models.default, image.image_uri, device)

    def _serve(self, package: DeployedModel, image_uri: str, device: DeviceSettings) -> CfnModel:
        model = CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            primary_container=CfnModel.ContainerDefinitionProperty(
                image=image_uri,
                environment={**region_variables(), **device.to_env()},
                # Not `ModelDataSource`, which serverless endpoints do not know:
                # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
                model_data_url=package.uri,
            ),
            tags=self._tags,
        )
        # Its policy too: SageMaker tries the rights when the model is made.
        model.node.add_dependency(self.role)
        return model

    def _deploy(
        self,
        variant: dict[str, Any],
        *,
        alarms: Sequence[Alarm],
        async_inference: CfnEndpointConfig.AsyncInferenceConfigProperty | None = None,
        keep_instances: bool = False,
    ) -> CfnEndpoint:
        configuration = CfnEndpointConfig(
            self,
            "Configuration",
            production_variants=[
                CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=self._model.attr_model_name,
                    initial_variant_weight=1,
                    **variant,
                )
            ],
            async_inference_config=async_inference,
            tags=self._tags,
        )
        configuration.node.add_dependency(self.role)
        endpoint = CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.name,
            endpoint_config_name=configuration.attr_endpoint_config_name,
            retain_all_variant_properties=keep_instances or None,
            deployment_config=_blue_green(alarms),
        )
        endpoint.node.add_dependency(self._logs)
        return endpoint

    def _alarm(
        self,
        name: str,
        *,
        of: str,
        description: str,
        statistic: str,
        threshold: float,
        sustained: bool,
    ) -> Alarm:
        """Create an alarm that notifies the failure topic and may roll back a deployment.

        Args:
            name: of the construct.
            of: the metric.
            description: what it means, after the endpoint's name.
            statistic: of the metric, over a minute.
            threshold: above which a minute counts.
            sustained: whether two minutes of three must be above it; otherwise one is enough.
        """
        datapoints, periods = _SUSTAINED if sustained else _AT_ONCE
        metric = Metric(
            namespace=NAMESPACE,
            metric_name=of,
            dimensions_map={"EndpointName": self.name, "VariantName": VARIANT},
            statistic=statistic,
            period=Duration.minutes(1),
        )
        alarm = Alarm(
            self,
            name,
            alarm_description=f"swath: {self.name} {description}.",
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            datapoints_to_alarm=datapoints,
            comparison_operator=ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(SnsAction(self._topic))
        return alarm

    def _errors_alarm(self) -> Alarm:
        return self._alarm(
            "Errors",
            of="Invocation5XXErrors",
            description=f"fails on more than {_ERROR_SHARE:.0%} of its requests",
            statistic="Average",
            threshold=_ERROR_SHARE,
            sustained=True,
        )

    def _latency_alarm(self) -> Alarm:
        return self._alarm(
            "Latency",
            of="ModelLatency",
            description="takes most of the minute that it has for an answer",
            statistic="Average",
            threshold=Duration.seconds(45).to_milliseconds() * 1000,
            sustained=True,
        )


def _blue_green(alarms: Sequence[Alarm]) -> CfnEndpoint.DeploymentConfigProperty:
    # All at once: a canary is at most half of the hosts, and there may be but one.
    return CfnEndpoint.DeploymentConfigProperty(
        blue_green_update_policy=CfnEndpoint.BlueGreenUpdatePolicyProperty(
            traffic_routing_configuration=CfnEndpoint.TrafficRoutingConfigProperty(
                type="ALL_AT_ONCE"
            ),
            termination_wait_in_seconds=_BAKING.to_seconds(),
            maximum_execution_timeout_in_seconds=_PATIENCE.to_seconds(),
        ),
        auto_rollback_configuration=CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[CfnEndpoint.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in alarms]
        ),
    )
