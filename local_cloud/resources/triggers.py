"""Run CDK's triggers: functions that run during the deployment."""

from __future__ import annotations

import json

from local_cloud.errors import LocalCloudError
from local_cloud.resources.model import ChangeRequest, CreatedResource, ResourceRequest


def create_trigger(request: ResourceRequest) -> CreatedResource:
    """Invoke the function and wait for it, as CDK's own provider does on AWS.

    Raises:
        LocalCloudError: The function failed; the deployment fails with its error.
    """
    response = request.client("lambda").invoke(
        FunctionName=request.properties["HandlerArn"],
        InvocationType=request.properties.get("InvocationType", "RequestResponse"),
    )
    body = response["Payload"].read()
    if "FunctionError" in response:
        raise LocalCloudError(_failure_message(body))
    return CreatedResource(request.name)


def update_trigger(request: ChangeRequest) -> CreatedResource | None:
    """Invoke the function again, unless the trigger ignores changes of its function.

    Raises:
        LocalCloudError: The function failed; the update fails with its error.
    """
    if str(request.properties.get("ExecuteOnHandlerChange", True)).lower() == "false":
        return None
    return create_trigger(request)


def _failure_message(body: bytes) -> str:
    error = json.loads(body)
    return f"the function failed: {error.get('errorType')}: {error.get('errorMessage')}"
