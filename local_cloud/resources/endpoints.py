"""Create SageMaker's models and endpoints under the names in the template.

Moto can create them from a template, but under other names.
"""

from __future__ import annotations

from local_cloud.resources.making import Made, Request

_MODEL = ("ExecutionRoleArn", "PrimaryContainer", "EnableNetworkIsolation", "Tags")
_CONFIG = ("ProductionVariants", "AsyncInferenceConfig", "KmsKeyId", "Tags")
# `DeploymentConfig` is ignored: it concerns changes of an endpoint, which have no rollout here.
_ENDPOINT = ("EndpointConfigName", "Tags")


def make_model(request: Request) -> Made:
    """Create a model, a container with the archive of its weights; it does not run yet."""
    name = request.properties.get("ModelName", request.name)
    made = request.client("sagemaker").create_model(ModelName=name, **_given(request, _MODEL))
    return Made(made["ModelArn"], {"ModelName": name})


def make_endpoint_config(request: Request) -> Made:
    """Create a configuration, which names an endpoint's model and kind."""
    name = request.properties.get("EndpointConfigName", request.name)
    made = request.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, **_given(request, _CONFIG)
    )
    return Made(made["EndpointConfigArn"], {"EndpointConfigName": name})


def make_endpoint(request: Request) -> Made:
    """Create an endpoint; its container starts at the first invocation."""
    name = request.properties.get("EndpointName", request.name)
    made = request.client("sagemaker").create_endpoint(
        EndpointName=name, **_given(request, _ENDPOINT)
    )
    return Made(made["EndpointArn"], {"EndpointName": name})


def _given(request: Request, names: tuple[str, ...]) -> dict[str, object]:
    return {name: request.properties[name] for name in names if name in request.properties}
