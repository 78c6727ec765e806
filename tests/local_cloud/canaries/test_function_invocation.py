from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.faults.kinds import DiskFull, SlotsTaken, TimeLapse
from local_cloud.moto_patches import function_invocation
from local_cloud.processes import can_limit_disk
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually

HANDLER = """
import os
import pathlib
import tempfile

calls = 0


def handle(event, context):
    global calls
    calls += 1
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "write" in event:
        pathlib.Path(tempfile.gettempdir(), "file").write_bytes(bytes(event["write"]))
    while event.get("hang"):
        pass
    return {"calls": calls, "name": context.function_name, "set": os.environ.get("SET"),
            "inherited": os.environ.get("ONLY_HERE"), "event": event}
"""


@pytest.fixture
def function(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ONLY_HERE", "this machine's")
    image = aws.image(tmp_path / "image", {"Dockerfile": 'CMD ["app.handle"]\n', "app.py": HANDLER})
    return aws.function(image, Timeout=2, Environment={"Variables": {"SET": "by the template"}})


def invoke(aws: Aws, function: str, event: Any) -> tuple[Any, str | None]:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


@pytest.mark.skipif(not can_limit_disk(), reason="no file systems of one's own here")
def test_a_full_disk_is_a_functions_own_and_goes_with_the_fault(
    services: Services, aws: Aws, function: str
):
    name = function.rsplit(":", 1)[-1]
    services.faults.switch_on(DiskFull(process=name, kib=16, times=1))
    with applied(services, function_invocation):
        full, error = invoke(aws, function, {"write": 100_000})
        after, none = invoke(aws, function, {"write": 100_000})

    assert (error, none) == ("Unhandled", None)
    assert full["errorMessage"].startswith("[Errno 28] No space left on device")
    assert after["calls"] == 1, "another process"


def test_canary_function_invocation(services: Services, aws: Aws, function: str):
    assert invoke(aws, function, {"x": 1}) == ({"x": 1}, None)
    with applied(services, function_invocation):
        first, _ = invoke(aws, function, {"x": 1})
        second, _ = invoke(aws, function, {"x": 2})

    assert first == {
        "calls": 1,
        "name": function.rsplit(":", 1)[-1],
        "set": "by the template",
        "inherited": None,
        "event": {"x": 1},
    }
    assert second["calls"] == 2, "a warm process is used again"


def test_an_exception_comes_back_as_lambda_words_it(services: Services, aws: Aws, function: str):
    with applied(services, function_invocation):
        error, kind = invoke(aws, function, {"raise": "no such scene"})

    assert kind == "Unhandled"
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "no such scene"
    assert any("raise ValueError" in line for line in error["stackTrace"])


def test_a_function_that_hangs_is_killed_when_its_time_is_up(
    services: Services, aws: Aws, function: str
):
    with applied(services, function_invocation):
        error, kind = invoke(aws, function, {"hang": True})
        after, _ = invoke(aws, function, {})

    assert kind == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 2.00 seconds")
    assert after["calls"] == 1, "the next event gets a new process"


def test_a_process_that_exits_is_an_error_and_is_replaced(
    services: Services, aws: Aws, function: str
):
    with applied(services, function_invocation):
        error, _ = invoke(aws, function, {"exit": 3})
        after, _ = invoke(aws, function, {})

    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("exit status 3")
    assert after["calls"] == 1


def test_an_import_error_of_a_handler_is_reported(services: Services, aws: Aws, tmp_path: Path):
    image = aws.image(tmp_path / "broken", {"Dockerfile": 'CMD ["nowhere.handle"]\n'})
    function = aws.function(image, Timeout=2)

    with applied(services, function_invocation):
        error, _ = invoke(aws, function, {})

    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "nowhere" in error["errorMessage"]


def test_an_event_that_always_fails_is_retried_and_sent_to_its_destination(
    services: Services, aws: Aws, function: str
):
    services.faults.switch_on(TimeLapse(factor=1e6))
    queue = aws.queue()
    aws.client("lambda").put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": aws.queue_arn(queue)}},
    )
    with applied(services, function_invocation):
        answer = aws.client("lambda").invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps({"raise": "again"})
        )
        (letter,) = eventually(lambda: aws.messages(queue), "the dead letter")

    assert answer["StatusCode"] == 202
    assert letter["requestContext"]["approximateInvokeCount"] == 2
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["requestPayload"] == {"raise": "again"}
    assert letter["responsePayload"]["errorMessage"] == "again"


def test_where_no_slot_is_free_a_call_is_refused_and_an_event_waits(
    services: Services, aws: Aws, function: str
):
    services.faults.switch_on(TimeLapse(factor=1e6))
    client, queue = aws.client("lambda"), aws.queue()
    client.put_function_event_invoke_config(
        FunctionName=function,
        DestinationConfig={"OnFailure": {"Destination": aws.queue_arn(queue)}},
    )
    with applied(services, function_invocation):
        number = services.faults.switch_on(SlotsTaken(slots=0))
        with pytest.raises(ClientError, match="TooManyRequestsException") as caught:
            invoke(aws, function, {})
        client.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"x": 1}')
        (letter,) = eventually(lambda: aws.messages(queue), "the dead letter")
        services.faults.switch_off(number)
        after, _ = invoke(aws, function, {})

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert letter["requestContext"]["condition"] == "EventAgeExceeded"
    assert letter["requestPayload"] == {"x": 1}
    assert after["calls"] == 1
