"""Define the base of SageMaker endpoints, which serve the default model."""

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

from infra.constructs.model_catalog import DeployedModel, ModelCatalog
from infra.constructs.region import region_variables
from infra.constructs.sagemaker_role import SageMakerRole
from infra.grants import read_objects, read_sources, write_objects
from infra.images import serving_image
from swath.settings import DeviceSettings, EndpointKind

VARIANT_NAME = "AllTraffic"
SAGEMAKER_NAMESPACE = "AWS/SageMaker"
# Time for which the old model's hosts are kept beside the new model's, while the alarms can still
# roll the deployment back.
_ROLLBACK_TIME = Duration.minutes(10)
# Timeout of a deployment: GPU hosts are not always available at once.
_DEPLOYMENT_TIMEOUT = Duration.hours(1)
# Maximum fraction of requests that may fail without an alarm.
_MAX_ERROR_FRACTION = 0.1
# Number of minutes above the threshold, of how many minutes in a row. A share or a mean needs
# several minutes, since a single failed request in a quiet minute is 100 % of that minute.
_SUSTAINED_DATAPOINTS = (2, 3)
_SINGLE_DATAPOINT = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResources:
    """Parts of the stack that every kind of endpoint uses."""

    models: ModelCatalog
    scenes: IBucket
    work: IBucket
    topic: ITopic
    log_retention: RetentionDays
    scene_sources: Sequence[str] = ()
    """Prefixes where the files of scenes may lie, besides the scenes bucket."""


class Endpoint(Construct):
    """SageMaker model, endpoint configuration and endpoint; the endpoint's name never changes.

    A model is immutable on SageMaker, so another package needs another model and configuration. The
    endpoint switches to them by a blue/green deployment, unless an alarm fires. Models and
    configurations have no fixed names, so that CloudFormation can create new ones before it deletes
    the old ones. Their tags name the package.

    The endpoint is not in a VPC, for three reasons. A container uses only S3. Serverless endpoints
    cannot be in a VPC. SageMaker has fewer GPU hosts in the subnets of two zones than in the whole
    region. The role of the container limits what the container may read and write.

    Attributes:
        name: Name of the endpoint.
        arn: ARN of the endpoint, for permissions to invoke it.
        role: Role of the container.
        endpoint: Endpoint resource.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: EndpointKind,
        gpu: bool,
        resources: EndpointResources,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = f"{Stack.of(self).stack_name}-{kind}"
        self.arn = (
            f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:endpoint/{self.name}"
        )
        self._topic = resources.topic
        self._tags = [
            CfnTag(key="swath:model", value=resources.models.default.name),
            CfnTag(key="swath:digest", value=resources.models.default.digest),
        ]
        self._logs = LogGroup(
            self,
            "Logs",
            # SageMaker determines the name.
            log_group_name=f"/aws/sagemaker/Endpoints/{self.name}",
            retention=resources.log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        image = serving_image(self, "Image", gpu=gpu)
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.grant_write_logs(self._logs)
        resources.models.grant_read_packages(self.role)
        read_objects(self.role, resources.scenes)
        read_sources(self.role, resources.scene_sources)
        read_objects(self.role, resources.work, "runs/*")
        write_objects(self.role, resources.work, "runs/*")
        device = DeviceSettings(device="cuda" if gpu else "cpu")
        self._model = self._add_model(resources.models.default, image.image_uri, device)

    def _add_model(
        self, package: DeployedModel, image_uri: str, device: DeviceSettings
    ) -> CfnModel:
        model = CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            primary_container=CfnModel.ContainerDefinitionProperty(
                image=image_uri,
                environment={**region_variables(), **device.to_env()},
                # Not `ModelDataSource`, which serverless endpoints do not support:
                # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
                model_data_url=package.uri,
            ),
            tags=self._tags,
        )
        # The dependency includes the role's policy: SageMaker checks the permissions when it
        # creates the model.
        model.node.add_dependency(self.role)
        return model

    def _add_endpoint(
        self,
        variant: dict[str, Any],
        *,
        alarms: Sequence[Alarm],
        async_inference: CfnEndpointConfig.AsyncInferenceConfigProperty | None = None,
        retains_instance_count: bool = False,
    ) -> CfnEndpoint:
        endpoint_config = CfnEndpointConfig(
            self,
            "Configuration",
            production_variants=[
                CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT_NAME,
                    model_name=self._model.attr_model_name,
                    initial_variant_weight=1,
                    **variant,
                )
            ],
            async_inference_config=async_inference,
            tags=self._tags,
        )
        endpoint_config.node.add_dependency(self.role)
        endpoint = CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.name,
            endpoint_config_name=endpoint_config.attr_endpoint_config_name,
            retain_all_variant_properties=retains_instance_count or None,
            deployment_config=_deployment_config(alarms),
        )
        endpoint.node.add_dependency(self._logs)
        return endpoint

    def _add_alarm(
        self,
        name: str,
        *,
        metric_name: str,
        description: str,
        statistic: str,
        threshold: float,
        is_sustained: bool,
    ) -> Alarm:
        """Create an alarm that notifies the failure topic and may roll back a deployment.

        Args:
            name: Id of the construct.
            metric_name: Name of the metric.
            description: Meaning of the alarm, as text after the endpoint's name.
            statistic: Statistic of the metric over a minute.
            threshold: Value that a minute must exceed to count.
            is_sustained: Whether two of three minutes must exceed the threshold; otherwise one is
                enough.
        """
        datapoints, periods = _SUSTAINED_DATAPOINTS if is_sustained else _SINGLE_DATAPOINT
        metric = Metric(
            namespace=SAGEMAKER_NAMESPACE,
            metric_name=metric_name,
            dimensions_map={"EndpointName": self.name, "VariantName": VARIANT_NAME},
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

    def _add_errors_alarm(self) -> Alarm:
        return self._add_alarm(
            "Errors",
            metric_name="Invocation5XXErrors",
            description=f"fails more than {_MAX_ERROR_FRACTION:.0%} of its requests",
            statistic="Average",
            threshold=_MAX_ERROR_FRACTION,
            is_sustained=True,
        )

    def _add_latency_alarm(self) -> Alarm:
        return self._add_alarm(
            "Latency",
            metric_name="ModelLatency",
            description="needs most of the minute that it has for a response",
            statistic="Average",
            threshold=Duration.seconds(45).to_milliseconds() * 1000,
            is_sustained=True,
        )


def _deployment_config(alarms: Sequence[Alarm]) -> CfnEndpoint.DeploymentConfigProperty:
    # All traffic shifts at once: a canary is at most half of the hosts, and there may be only one.
    return CfnEndpoint.DeploymentConfigProperty(
        blue_green_update_policy=CfnEndpoint.BlueGreenUpdatePolicyProperty(
            traffic_routing_configuration=CfnEndpoint.TrafficRoutingConfigProperty(
                type="ALL_AT_ONCE"
            ),
            termination_wait_in_seconds=_ROLLBACK_TIME.to_seconds(),
            maximum_execution_timeout_in_seconds=_DEPLOYMENT_TIMEOUT.to_seconds(),
        ),
        auto_rollback_configuration=CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[CfnEndpoint.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in alarms]
        ),
    )
