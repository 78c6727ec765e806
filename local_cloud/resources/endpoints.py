"""SageMaker's models and endpoints, under the names that the template gives them.

Moto can make them from a template, but under names of its own.
"""

from __future__ import annotations

from local_cloud.resources.making import Made, Request

_MODEL = ("ExecutionRoleArn", "PrimaryContainer", "EnableNetworkIsolation", "Tags")
_CONFIG = ("ProductionVariants", "AsyncInferenceConfig", "KmsKeyId", "Tags")
# Not `DeploymentConfig`: it is about changing an endpoint, which nobody does here.
_ENDPOINT = ("EndpointConfigName", "Tags")


def make_model(request: Request) -> Made:
    """A container with the archive of its model; nothing of it runs yet."""
    name = request.properties.get("ModelName", request.name)
    made = request.client("sagemaker").create_model(ModelName=name, **_given(request, _MODEL))
    return Made(made["ModelArn"], {"ModelName": name})


def make_endpoint_config(request: Request) -> Made:
    """Which model an endpoint serves, and of which kind it is."""
    name = request.properties.get("EndpointConfigName", request.name)
    made = request.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, **_given(request, _CONFIG)
    )
    return Made(made["EndpointConfigArn"], {"EndpointConfigName": name})


def make_endpoint(request: Request) -> Made:
    """An endpoint; its container starts when it is first invoked."""
    name = request.properties.get("EndpointName", request.name)
    made = request.client("sagemaker").create_endpoint(
        EndpointName=name, **_given(request, _ENDPOINT)
    )
    return Made(made["EndpointArn"], {"EndpointName": name})


def _given(request: Request, names: tuple[str, ...]) -> dict[str, object]:
    return {name: request.properties[name] for name in names if name in request.properties}
