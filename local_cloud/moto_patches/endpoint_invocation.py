"""Forward invocations of a SageMaker endpoint to its container, and return its response.

AWS: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html;
limits: https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html

Moto 5.2.5 answers for any endpoint, even one that does not exist, with the text "body". It fails on
a request that is not UTF-8.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from moto.core.exceptions import ServiceException
from moto.sagemaker.exceptions import ValidationError as SageMakerValidationError
from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local_cloud.endpoints.process import StartError
from local_cloud.endpoints.specification import ContainerResponse, ServingSpec
from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.access import AccessDeniedError
from local_cloud.permissions.service_permissions import require_for_container
from local_cloud.services import Services

NAME = "endpoint_invocation"

EndpointKind = Literal["real-time", "serverless", "asynchronous"]

PRINCIPAL = "sagemaker.amazonaws.com"
MAX_RESPONSE_SECONDS = 60.0
MAX_PAYLOAD_BYTES: Mapping[EndpointKind, int] = {"real-time": 25_000_000, "serverless": 4_000_000}
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# SageMaker removes all other headers; see the API's page.
_FORWARDED = ("Content-Type", "Accept", CUSTOM_ATTRIBUTES, "X-Amzn-SageMaker-Inference-Id")


def apply(patcher: Patcher, services: Services) -> None:
    """Forward requests for endpoints to their processes."""

    def invoke_endpoint(response: Any) -> tuple[bytes, dict[str, str]]:
        endpoint = get_endpoint(services, response, response.uri_match["EndpointName"])
        headers = {name: response.headers[name] for name in _FORWARDED if name in response.headers}
        result = _invoke(services, endpoint, response.body, headers)
        return result.body, _response_headers(endpoint, result)

    patcher.add(SageMakerRuntimeResponse, "use_raw_body", True)
    patcher.replace(SageMakerRuntimeResponse, "invoke_endpoint", invoke_endpoint)


class ModelError(ServiceException):
    """Refusal or failure of a container, as SageMaker phrases it."""

    code = "ModelError"

    def __init__(self, endpoint: DeployedEndpoint, status: int, message: str) -> None:
        fault = "client" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server"
        super().__init__(
            f'Received {fault} error ({status}) from primary with message "{message}". See '
            f"https://{endpoint.region}.console.aws.amazon.com/cloudwatch/home"
            f"?region={endpoint.region}#logEventViewer:group=/aws/sagemaker/Endpoints/"
            f"{endpoint.spec.name} in account {endpoint.account} for more information."
        )
        self.OriginalStatusCode = status
        self.OriginalMessage = message
        self.LogStreamArn = (
            f"arn:aws:logs:{endpoint.region}:{endpoint.account}:"
            f"log-group:/aws/sagemaker/Endpoints/{endpoint.spec.name}"
        )


class ValidationError(ServiceException):
    """The request is invalid, and SageMaker does not forward it."""

    code = "ValidationError"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedEndpoint:
    """Endpoint in moto, with the information needed to serve it."""

    account: str
    region: str
    kind: EndpointKind
    variant: str
    role: str
    """ARN of the model's role, for its container and for SageMaker's access to S3."""
    spec: ServingSpec
    asynchronous: Mapping[str, Any]
    """`AsyncInferenceConfig`; empty for other kinds."""


def get_endpoint(services: Services, response: Any, name: str) -> DeployedEndpoint:
    """Return the endpoint of a request.

    Raises:
        ValidationError: The endpoint does not exist.
    """
    account, region = response.current_account, response.region
    backend = sagemaker_backends[account][region]
    try:
        config_name = backend.describe_endpoint(name)["EndpointConfigName"]
    except SageMakerValidationError:
        raise ValidationError(f"Endpoint {name} of account {account} not found.") from None
    config = backend.describe_endpoint_config(config_name)
    variant = config["ProductionVariants"][0]
    model = backend.describe_model(variant["ModelName"])
    role = model.execution_role_arn
    return DeployedEndpoint(
        account=account,
        region=region,
        kind=_kind(config, variant),
        variant=variant["VariantName"],
        role=role,
        spec=build_serving_spec(services, name, region, model.primary_container, role),
        asynchronous=config.get("AsyncInferenceConfig") or {},
    )


def build_serving_spec(
    services: Services, name: str, region: str, container: Mapping[str, Any], role: str
) -> ServingSpec:
    """Return the process of an endpoint: `docker run IMAGE serve`, whatever the image's CMD is.

    Raises:
        ValidationError: The image cannot be served, or the role lacks a permission for SageMaker.
    """
    image = services.image(container["Image"], region)
    if not image.entry_point:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
        raise ValidationError(
            f"{image.dockerfile} has no ENTRYPOINT for SageMaker's argument 'serve'"
        )
    try:
        require_for_container(
            services.access,
            role,
            logs=f"/aws/sagemaker/Endpoints/{name}",
            repository=container["Image"].partition("/")[2].rpartition(":")[0],
            namespace="/aws/sagemaker/Endpoints",
        )
        credentials = services.access.container_variables(role, PRINCIPAL)
    except AccessDeniedError as error:
        raise ValidationError(str(error)) from None
    return ServingSpec(
        name=name,
        command=(*image.entry_point, "serve"),
        folder=image.folder,
        python_path=image.python_path,
        model=_model_uri(container),
        environment={
            **{key: str(value) for key, value in container.get("Environment", {}).items()},
            **services.environment,
            **credentials,
        },
    )


def invoke_container(
    services: Services,
    endpoint: DeployedEndpoint,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
) -> ContainerResponse:
    """Send one request to the endpoint's container.

    Raises:
        ModelError: The container refused, failed, or did not respond in time.
        ValidationError: The container cannot be started.
    """

    def fetch(uri: str) -> bytes:
        return read_object(services, endpoint, uri)

    try:
        result = services.endpoints.invoke(
            endpoint.spec, body, headers, fetch=fetch, timeout=timeout
        )
    except StartError as error:
        raise ValidationError(f"Endpoint {endpoint.spec.name} is not in service: {error}") from None
    except TimeoutError:
        message = "Your invocation timed out while waiting for a response from container primary."
        raise ModelError(endpoint, 0, message) from None
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(endpoint, 500, f"the container ended: {error!r}") from None
    if not result.is_ok:
        raise ModelError(endpoint, result.status, result.body.decode(errors="replace"))
    return result


def create_role_client(services: Services, endpoint: DeployedEndpoint, service: str) -> Any:
    """Return a client with which SageMaker acts as the model's role."""
    return services.access.client(service, endpoint.region, role=endpoint.role, principal=PRINCIPAL)


def read_object(services: Services, endpoint: DeployedEndpoint, uri: str) -> bytes:
    """Read the S3 object of a URI, with the model's role."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = create_role_client(services, endpoint, "s3").get_object(Bucket=bucket, Key=key)["Body"]
    return bytes(body.read())


def _invoke(
    services: Services, endpoint: DeployedEndpoint, body: bytes, headers: Mapping[str, str]
) -> ContainerResponse:
    if endpoint.kind == "asynchronous":
        raise ValidationError(f"Endpoint {endpoint.spec.name} supports InvokeEndpointAsync only.")
    limit = MAX_PAYLOAD_BYTES[endpoint.kind]
    if len(body) > limit:
        raise ValidationError(
            f"1 validation error detected: Value of {len(body)} bytes at 'body' failed to satisfy "
            f"constraint: Member must have length less than or equal to {limit}"
        )
    result = invoke_container(services, endpoint, body, headers, timeout=MAX_RESPONSE_SECONDS)
    if len(result.body) > limit:
        message = (
            f"the response has {len(result.body)} bytes; a {endpoint.kind} endpoint allows {limit}"
        )
        raise ModelError(endpoint, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    return result


def _kind(config: Mapping[str, Any], variant: Mapping[str, Any]) -> EndpointKind:
    if config.get("AsyncInferenceConfig"):
        return "asynchronous"
    return "serverless" if "ServerlessConfig" in variant else "real-time"


def _model_uri(container: Mapping[str, Any]) -> str:
    """Return the address of the container's model, a gzip-compressed tar archive.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3ModelDataSource.html
    """
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if not source:
        return str(container.get("ModelDataUrl", ""))
    if (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
        raise ValidationError(
            f"the local cloud supports only an S3Object with Gzip: {json.dumps(source)}"
        )
    return str(source["S3Uri"])


def _response_headers(endpoint: DeployedEndpoint, result: ContainerResponse) -> dict[str, str]:
    headers_by_name = {name.lower(): value for name, value in result.headers.items()}
    headers = {
        "Content-Type": headers_by_name.get("content-type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": endpoint.variant,
    }
    if attributes := headers_by_name.get(CUSTOM_ATTRIBUTES.lower()):
        headers[CUSTOM_ATTRIBUTES] = attributes
    return headers
