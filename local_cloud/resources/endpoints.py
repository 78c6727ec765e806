"""Create SageMaker's models and endpoints under the names in the template.

Moto can create them from a template, but under other names.
"""

from __future__ import annotations

from local_cloud.resources.model import CreatedResource, ResourceRequest

_MODEL_KEYS = ("ExecutionRoleArn", "PrimaryContainer", "EnableNetworkIsolation", "Tags")
_CONFIG_KEYS = ("ProductionVariants", "AsyncInferenceConfig", "KmsKeyId", "Tags")
# `DeploymentConfig` is ignored: it concerns changes of an endpoint, which have no rollout here.
_ENDPOINT_KEYS = ("EndpointConfigName", "Tags")


def create_model(request: ResourceRequest) -> CreatedResource:
    """Create a model, a container with the archive of its weights; it does not run yet."""
    name = request.properties.get("ModelName", request.name)
    created = request.client("sagemaker").create_model(
        ModelName=name, **_select_properties(request, _MODEL_KEYS)
    )
    return CreatedResource(created["ModelArn"], {"ModelName": name})


def create_endpoint_config(request: ResourceRequest) -> CreatedResource:
    """Create a configuration, which names an endpoint's model and kind."""
    name = request.properties.get("EndpointConfigName", request.name)
    created = request.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, **_select_properties(request, _CONFIG_KEYS)
    )
    return CreatedResource(created["EndpointConfigArn"], {"EndpointConfigName": name})


def create_endpoint(request: ResourceRequest) -> CreatedResource:
    """Create an endpoint; its container starts at the first invocation."""
    name = request.properties.get("EndpointName", request.name)
    created = request.client("sagemaker").create_endpoint(
        EndpointName=name, **_select_properties(request, _ENDPOINT_KEYS)
    )
    return CreatedResource(created["EndpointArn"], {"EndpointName": name})


def _select_properties(request: ResourceRequest, names: tuple[str, ...]) -> dict[str, object]:
    return {name: request.properties[name] for name in names if name in request.properties}
