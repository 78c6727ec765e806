"""Run a Lambda function's handler on invocation, under AWS's own runtime client.

AWS: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html; asynchronous invocations:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

Moto 5.2.5 needs Docker for that; without it, it returns the request's own payload.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda_simple.models import LambdaSimpleBackend

from local_cloud.faults.kinds import DiskFull
from local_cloud.functions.specification import FunctionSpec, InvocationResult
from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.access import AccessDeniedError
from local_cloud.permissions.service_permissions import require_for_function
from local_cloud.services import Services

logger = logging.getLogger("local_cloud")

NAME = "function_invocation"

# Delays in s between attempts at a failed event, by AWS's clock.
RETRY_DELAYS_SECONDS = (60.0, 120.0)
# Maximum delay in s of an event without a free slot; the delay grows with each return to the queue.
_MAX_QUEUE_DELAY_SECONDS = 300.0
_DEFAULT_MAX_AGE_SECONDS = 21_600


def apply(patcher: Patcher, services: Services) -> None:
    """Run functions in the local cloud's processes."""

    def invoke(
        backend: Any,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        response_headers: Any,
    ) -> bytes:
        function = backend.get_function(function_name, qualifier)
        payload = body if isinstance(body, bytes) else (body or "{}").encode()
        if (headers or {}).get("X-Amz-Invocation-Type") == "Event":
            _AsyncInvocation(services, function, payload).start()
            return b""
        response = _invoke(services, function, payload)
        if response is None:
            raise TooManyRequestsError
        if response.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return response.payload

    patcher.replace(LambdaSimpleBackend, "invoke", invoke)


class TooManyRequestsError(LambdaClientError):
    """The account has no free slot."""

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


def _invoke(services: Services, function: Any, payload: bytes) -> InvocationResult | None:
    """Run a function; return None if the account has no free slot."""
    with services.faults.lambda_slot() as is_free:
        if not is_free:
            return None
        try:
            return services.functions.invoke(build_function_spec(function, services), payload)
        except AccessDeniedError as error:
            body = {"errorType": "AccessDeniedException", "errorMessage": str(error)}
            return InvocationResult(json.dumps(body).encode(), failed=True)


def build_function_spec(function: Any, services: Services) -> FunctionSpec:
    """Return the specification of moto's function, with its image from the local registry.

    Raises:
        AccessDeniedError: The function's role lacks a permission that Lambda needs.
    """
    image = services.image(function.code["ImageUri"], function.region)
    command = function.image_config.cmd or image.command
    log_group = getattr(function, "log_group", None) or f"/aws/lambda/{function.function_name}"
    disk_full = services.faults.trigger(DiskFull, lambda f: f.process in function.function_name)
    require_for_function(
        services.access,
        function.role,
        logs=log_group,
        in_network=bool(function.vpc_config),
        traced=function.tracing_config["Mode"] == "Active",
    )
    return FunctionSpec(
        name=function.function_name,
        arn=function.function_arn,
        region=function.region,
        handler=command[0],
        task_root=image.folder,
        python_path=image.python_path,
        timeout=float(function.timeout),
        memory=int(function.memory_size),
        log_group=log_group,
        environment={
            **{name: str(value) for name, value in function.environment_vars.items()},
            **services.environment,
            **services.database.environment,
            # No daemon receives traces here.
            "POWERTOOLS_TRACE_DISABLED": "true",
            **services.access.session(function.role, "lambda.amazonaws.com").variables,
        },
        version=str(function.version),
        disk_kib=disk_full.kib if disk_full else None,
    )


class _AsyncInvocation:
    """Event that Lambda has accepted: run, retried after errors, then sent to a destination."""

    def __init__(self, services: Services, function: Any, payload: bytes) -> None:
        self._services = services
        self._function = function
        self._payload = payload
        self._request_id = str(uuid.uuid4())
        config = function.event_invoke_config[0].config if function.event_invoke_config else {}
        self._retries = int(config.get("MaximumRetryAttempts", 2))
        self._max_age = int(config.get("MaximumEventAgeInSeconds", _DEFAULT_MAX_AGE_SECONDS))
        self._age = 0.0
        self._on_failure = (
            config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        )

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        name = self._function.function_name
        try:
            for attempt in range(self._retries + 1):
                response = self._invoke_when_free()
                if response is None:
                    self._send_to_destination("EventAgeExceeded", attempt, None)
                    return
                if not response.failed:
                    return
                logger.warning("%s: attempt %d: %s", name, attempt + 1, response.payload[:500])
                if attempt < self._retries:
                    self._services.clock.sleep(RETRY_DELAYS_SECONDS[attempt])
            self._send_to_destination("RetriesExhausted", self._retries + 1, response)
        except Exception:
            logger.exception("an event for %s was lost", name)

    def _invoke_when_free(self) -> InvocationResult | None:
        """Run the function once a slot is free; return None if the event is too old by then."""
        delay = 1.0
        while self._age <= self._max_age:
            response = _invoke(self._services, self._function, self._payload)
            if response is not None:
                return response
            self._services.clock.sleep(delay)
            self._age += delay
            delay = min(2 * delay, _MAX_QUEUE_DELAY_SECONDS)
        return None

    def _send_to_destination(
        self, condition: str, attempts: int, response: InvocationResult | None
    ) -> None:
        if self._on_failure:
            self._send(
                self._on_failure, json.dumps(self._build_record(condition, attempts, response))
            )

    def _send(self, arn: str, message: str) -> None:
        """Send a message to a destination with the function's role, as Lambda does."""
        service, region, account, name = arn.split(":")[2:6]
        client = self._services.access.client(
            service, region, role=self._function.role, principal="lambda.amazonaws.com"
        )
        if service == "sns":
            client.publish(TopicArn=arn, Message=message)
        elif service == "sqs":
            queues = self._services.client(service, region)
            url = queues.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
            client.send_message(QueueUrl=url, MessageBody=message)
        else:
            logger.error("on-failure destinations in %s are not delivered to: %s", service, arn)

    def _build_record(
        self, condition: str, attempts: int, response: InvocationResult | None
    ) -> dict[str, Any]:
        """Return the record of a failed event.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        record = {
            "version": "1.0",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "requestContext": {
                "requestId": self._request_id,
                "functionArn": f"{self._function.function_arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": json.loads(self._payload),
        }
        if response is None:
            return record
        context = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        return record | {
            "responseContext": context,
            "responsePayload": json.loads(response.payload),
        }
