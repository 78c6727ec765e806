"""Tests of an endpoint's failures: HTTP responses as SageMaker's runtime words them."""

import socket

import pytest
from botocore.exceptions import ClientError

from swath.errors import InputError, SettingsError, TransientError
from swath.messages import ShardRequest
from swath.sagemaker.client.errors import error_from_response
from swath.sagemaker.client.shards import invoke_endpoint, runtime_client
from tests.helpers.answers import Answer, refused

SHARD = ShardRequest(plan_uri="s3://work/runs/r/plan.json", index=3)


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"message": "Rate exceeded"}, status=400, error="ThrottlingException"),
        Answer({"Message": "provisioning"}, status=429, error="ModelNotReadyException"),
        Answer({"Message": "later"}, status=503, error="ServiceUnavailable"),
        Answer({"Message": "broken"}, status=500, error="InternalFailure"),
        Answer({"Message": "broken"}, status=530, error="InternalDependencyException"),
        Answer(b"<html>bad gateway</html>", status=502),
        refused(429, {"message": "8 shards wait"}, error="BusyError"),
        refused(503, {"message": "draining"}, error="DrainingError"),
        refused(500, "the worker died"),
        # The container takes longer than its limit of one minute.
        refused(0, "Your invocation timed out while waiting for a response from container"),
    ],
    ids=lambda answer: answer.error + str(answer.status),
)
def test_what_may_pass_is_transient(runtime, answer):
    runtime.answer(answer)

    with pytest.raises(TransientError, match="'swath-realtime'"):
        invoke_endpoint("swath-realtime", SHARD)

    # The client does not retry: the caller does, at a better time.
    assert len(runtime.asked) == 1


@pytest.mark.parametrize("status", [400, 413, 415])
def test_what_the_container_refuses_is_told_in_its_words(runtime, status):
    runtime.answer(refused(status, {"message": "plan_uri is missing"}, error="PayloadError"))

    with pytest.raises(InputError) as caught:
        invoke_endpoint("swath-realtime", SHARD)

    assert str(caught.value) == (
        f"the endpoint 'swath-realtime' answered {status}: PayloadError: plan_uri is missing"
    )


def test_an_endpoint_that_is_not_there_is_named(runtime):
    message = "Endpoint swath-nowhere of account 123456789012 not found."
    runtime.answer(Answer({"message": message}, status=400, error="ValidationError"))

    with pytest.raises(SettingsError, match=r"'swath-nowhere'.* not found"):
        invoke_endpoint("swath-nowhere", SHARD)


def test_what_is_ours_to_mend_keeps_its_name(runtime):
    runtime.answer(Answer({"Message": "not you"}, status=403, error="AccessDeniedException"))

    with pytest.raises(ClientError, match="AccessDenied"):
        invoke_endpoint("swath-realtime", SHARD)


def test_nobody_listening_is_transient(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{port}")
    runtime_client.cache_clear()

    with pytest.raises(TransientError, match="did not answer"):
        invoke_endpoint("swath-realtime", SHARD)
    runtime_client.cache_clear()


@pytest.mark.parametrize("body", ["", "oops", "[]", '{"error": 1}', "null"])
def test_an_answer_that_is_not_ours_is_told_as_it_is(body):
    assert (body or "nothing") in str(error_from_response(500, body, "e"))


def test_a_page_of_a_proxy_is_told_by_its_text():
    page = "\n<html><style>p { color: red }</style><body><h1>502 Bad Gateway</h1>\n<p>nginx</p>"

    told = str(error_from_response(502, page, "ships"))

    assert told == "the endpoint 'ships' answered 502: 502 Bad Gateway nginx"
    assert str(error_from_response(502, "<html></html>", "ships")).endswith("answered 502: nothing")
