"""Run CDK's triggers: functions that run during the deployment."""

from __future__ import annotations

import json

from local_cloud.errors import LocalCloudError
from local_cloud.resources.making import Change, Made, Request


def make_trigger(request: Request) -> Made:
    """Invoke the function and wait for it, as CDK's own provider does on AWS.

    Raises:
        LocalCloudError: The function failed; the deployment fails with its error.
    """
    answer = request.client("lambda").invoke(
        FunctionName=request.properties["HandlerArn"],
        InvocationType=request.properties.get("InvocationType", "RequestResponse"),
    )
    body = answer["Payload"].read()
    if "FunctionError" in answer:
        raise LocalCloudError(_reason(body))
    return Made(request.name)


def change_trigger(request: Change) -> Made | None:
    """Invoke the function again, unless the trigger ignores changes of its function.

    Raises:
        LocalCloudError: The function failed; the update fails with its error.
    """
    if str(request.properties.get("ExecuteOnHandlerChange", True)).lower() == "false":
        return None
    return make_trigger(request)


def _reason(body: bytes) -> str:
    error = json.loads(body)
    return f"the function failed: {error.get('errorType')}: {error.get('errorMessage')}"
