"""SageMaker endpoints of any instance type, which tell how they were configured.

AWS: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
Moto 5.2.5 knows the instance types of 2019, without ml.g5 and ml.g6, and does not say of an
endpoint that it is asynchronous.
"""

from __future__ import annotations

from typing import Any

from moto.sagemaker.models import FakeEndpointConfig, SageMakerModelBackend

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "endpoint_configurations"


def apply(patcher: Patcher, services: Services) -> None:
    """Take what cfn-lint has seen already, and describe an endpoint with all of it."""

    def describe(backend: Any, endpoint_name: str) -> dict[str, Any]:
        described = dict(original(backend, endpoint_name))
        config = backend.describe_endpoint_config(described["EndpointConfigName"])
        if asynchronous := config.get("AsyncInferenceConfig"):
            described["AsyncInferenceConfig"] = asynchronous
        return described

    patcher.replace(FakeEndpointConfig, "validate_instance_type", lambda _config, _type: None)
    original = patcher.replace(SageMakerModelBackend, "describe_endpoint", describe)
