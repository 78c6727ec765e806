"""Infer a shard at an asynchronous endpoint, which reports completion through SNS.

The request is an object in the work bucket and holds the task token of the waiting state.
SageMaker's notification names the request object, from which the token is read again:
https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import boto3

from swath import storage
from swath.errors import PayloadError, SwathError
from swath.messages import Payload, ShardRequest
from swath.pipeline.paths import RunPaths
from swath.sagemaker.client.errors import error_from_response, translate_errors
from swath.sagemaker.client.shards import JSON, read_receipt, runtime_client
from swath.settings import SubmitShardSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

# Matches `ClientError: Received client error (400) from model. See …`; the status may be absent.
_STATUS = re.compile(r"\((\d{3})\)")
# Maximum length that Step Functions accepts.
_MAX_CAUSE_LENGTH = 32_768

ResumeOutcome = Literal["resumed", "failed", "ignored", "stale"]


class SubmitResult(Payload, frozen=True, kw_only=True):
    """Shard request sent to an endpoint, with the address of the future answer."""

    request_uri: str
    output_uri: str


class ResumeResult(Payload, frozen=True, kw_only=True):
    """Result of handling a notification; `stale` if no state waits for it any more."""

    outcome: ResumeOutcome
    request_uri: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """SageMaker's notification that a request is completed or failed."""

    endpoint: str
    request_uri: str
    inference_id: str
    output_uri: str
    """Address of the answer; empty if the inference failed."""
    failure: str
    """Reason for the failure; empty if the inference succeeded."""

    @classmethod
    def from_message(cls, text: str) -> Self:
        """Parse a message of the success topic or the error topic.

        Args:
            text: JSON of the message.

        Raises:
            PayloadError: The text is not such a message.
        """
        try:
            message = json.loads(text)
            request = message["requestParameters"]
            completed = message["invocationStatus"] == "Completed"
            return cls(
                endpoint=request["endpointName"],
                request_uri=request["inputLocation"],
                inference_id=message.get("inferenceId", ""),
                output_uri=message["responseParameters"]["outputLocation"] if completed else "",
                failure="" if completed else str(message.get("failureReason") or "unknown"),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise PayloadError(
                f"the message is not a notification of SageMaker ({error!r}): {text}"
            ) from None


def submit_shard(request: ShardRequest, settings: SubmitShardSettings) -> SubmitResult:
    """Queue one shard at an asynchronous endpoint; a notification announces its answer.

    Args:
        request: Plan and index of the shard, with the task token.
        settings: Name of the endpoint and its time limits.

    Raises:
        TransientError: SageMaker did not accept the request; the caller should retry.
        SettingsError: The endpoint does not exist.
    """
    uri = RunPaths.from_plan_uri(request.plan_uri).request(request.index)
    storage.write_json(uri, request.to_json())
    with translate_errors(settings.endpoint_name):
        response = runtime_client().invoke_endpoint_async(
            EndpointName=settings.endpoint_name,
            InputLocation=uri,
            InferenceId=attempt_id(request),
            ContentType=JSON,
            Accept=JSON,
            RequestTTLSeconds=settings.queue_seconds,
            InvocationTimeoutSeconds=settings.inference_seconds,
        )
    return SubmitResult(request_uri=uri, output_uri=response["OutputLocation"])


def attempt_id(request: ShardRequest) -> str:
    """Return the identifier of one attempt at a shard: 64 characters derived from its token."""
    return hashlib.sha256(request.task_token.encode()).hexdigest()


def resume_run(
    notification: Notification, *, work_uri: str, states: SFNClient | None = None
) -> ResumeResult:
    """Resume the state that waits for a shard, with its receipt or its error.

    Notifications about images that users sent to the endpoint are ignored, and so are duplicates.

    Args:
        notification: Notification of the endpoint.
        work_uri: URI of the work bucket, below which runs store their requests.
        states: Client of Step Functions; None creates one.

    Raises:
        PayloadError: The endpoint's answer is not a receipt.
    """
    if not notification.request_uri.startswith(storage.join(work_uri, "runs", "")):
        return _resume_result("ignored", notification, "the notification is not of a run")
    try:
        request = ShardRequest.from_json(storage.read_json(notification.request_uri))
    except FileNotFoundError:
        return _resume_result("stale", notification, "the run's objects have expired")
    if notification.inference_id != attempt_id(request):
        return _resume_result("stale", notification, "the notification is of an earlier attempt")
    return _resume_state(notification, request.task_token, states or boto3.client("stepfunctions"))


def _resume_state(notification: Notification, token: str, states: SFNClient) -> ResumeResult:
    try:
        if notification.failure:
            error = _error_from_notification(notification)
            cause = str(error)[:_MAX_CAUSE_LENGTH]
            states.send_task_failure(taskToken=token, error=type(error).__name__, cause=cause)
            return _resume_result("failed", notification, cause)
        receipt = read_receipt(
            storage.read_bytes(notification.output_uri), notification.endpoint
        ).to_json()
        states.send_task_success(taskToken=token, output=json.dumps(receipt))
    except (states.exceptions.TaskDoesNotExist, states.exceptions.TaskTimedOut):
        return _resume_result("stale", notification, "no state waits for the shard")
    return _resume_result("resumed", notification)


def _error_from_notification(notification: Notification) -> SwathError:
    match = _STATUS.search(notification.failure)
    status = int(match[1]) if match else 0
    return error_from_response(status, notification.failure, notification.endpoint)


def _resume_result(
    outcome: ResumeOutcome, notification: Notification, reason: str = ""
) -> ResumeResult:
    return ResumeResult(outcome=outcome, request_uri=notification.request_uri, reason=reason)
