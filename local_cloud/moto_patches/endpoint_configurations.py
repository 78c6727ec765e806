"""Accept SageMaker endpoints of any instance type, and describe their configuration.

AWS: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html

Moto 5.2.5 knows the instance types of 2019, without ml.g5 and ml.g6, and does not report that an
endpoint is asynchronous.
"""

from __future__ import annotations

from typing import Any

from moto.sagemaker.models import FakeEndpointConfig, SageMakerModelBackend

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "endpoint_configurations"


def apply(patcher: Patcher, services: Services) -> None:
    """Accept the types that cfn-lint has checked, and describe endpoints completely."""

    def describe(backend: Any, endpoint_name: str) -> dict[str, Any]:
        described = dict(original(backend, endpoint_name))
        config = backend.describe_endpoint_config(described["EndpointConfigName"])
        if asynchronous := config.get("AsyncInferenceConfig"):
            described["AsyncInferenceConfig"] = asynchronous
        return described

    patcher.replace(FakeEndpointConfig, "validate_instance_type", lambda _config, _type: None)
    original = patcher.replace(SageMakerModelBackend, "describe_endpoint", describe)
