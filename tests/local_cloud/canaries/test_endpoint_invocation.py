from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import endpoint_configurations, endpoint_invocation
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import REFUSALS, Aws, applied
from tests.local_cloud.canaries.serving import SERVERLESS, Serving

IMAGE = b"\x89PNG\r\n\x1a\n\xff\xfe no text at all"


@pytest.fixture
def serving(
    services: Services, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serving]:
    monkeypatch.setenv("ONLY_HERE", "this machine's")
    with applied(services, endpoint_configurations):
        yield Serving.new(aws, tmp_path / "image")


def invoke(serving: Serving, endpoint: str, body: bytes, **options: Any) -> Any:
    answer = serving.aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, Body=body, **options
    )
    return answer | {"Body": answer["Body"].read()}


def refused(serving: Serving, endpoint: str, body: bytes) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        invoke(serving, endpoint, body)
    return dict(caught.value.response)


def test_canary_endpoint_invocation(services: Services, serving: Serving):
    assert invoke(serving, "no-such-endpoint", b"text")["Body"] == b"body"
    with pytest.raises(REFUSALS):
        invoke(serving, "no-such-endpoint", IMAGE)

    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint()
        answer = invoke(
            serving,
            endpoint,
            IMAGE,
            ContentType="image/png",
            Accept="application/geo+json",
            CustomAttributes="abc",
        )
        again = invoke(serving, endpoint, b"more")

    seen = json.loads(answer["Body"])
    assert (seen["path"], seen["length"], seen["first"]) == ("/invocations", len(IMAGE), 0x89)
    assert seen["headers"]["content-type"] == "image/png"
    assert seen["headers"]["accept"] == "application/geo+json"
    assert (seen["argument"], seen["model"]) == ("serve", "weights")
    assert (seen["set"], seen["inherited"]) == ("by the model", None)
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "cba"
    assert json.loads(again["Body"])["process"] == seen["process"], "a container stays"


@pytest.mark.parametrize(("status", "fault"), [(400, "client"), (429, "client"), (500, "server")])
def test_a_refusal_of_a_container_is_a_model_error(
    services: Services, serving: Serving, status: int, fault: str
):
    with applied(services, endpoint_invocation):
        answer = refused(serving, serving.endpoint(), f"{status} why".encode())

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["Error"]["Message"].startswith(
        f'Received {fault} error ({status}) from primary with message "why". See https://'
    )
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (status, "why")
    assert answer["LogStreamArn"].startswith("arn:aws:logs:")


def test_an_endpoint_that_does_not_exist_is_refused(services: Services, serving: Serving):
    with applied(services, endpoint_invocation):
        error = refused(serving, "no-such-endpoint", b"text")["Error"]

    assert error["Code"] == "ValidationError"
    assert error["Message"] == "Endpoint no-such-endpoint of account 123456789012 not found."


def test_a_serverless_endpoint_takes_and_gives_four_megabytes(services: Services, serving: Serving):
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint(SERVERLESS)
        full = invoke(serving, endpoint, bytes(4_000_000))
        over = refused(serving, endpoint, bytes(4_000_001))
        answered = refused(serving, endpoint, b"large 4000001")

    assert json.loads(full["Body"])["length"] == 4_000_000
    assert over["Error"]["Code"] == "ValidationError"
    assert "less than or equal to 4000000" in over["Error"]["Message"]
    assert answered["OriginalStatusCode"] == 413


def test_a_real_time_endpoint_takes_twenty_five_megabytes(services: Services, serving: Serving):
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint()
        full = invoke(serving, endpoint, bytes(25_000_000))
        over = refused(serving, endpoint, bytes(25_000_001))

    assert json.loads(full["Body"])["length"] == 25_000_000
    assert "less than or equal to 25000000" in over["Error"]["Message"]


def test_a_container_that_ends_is_an_error_and_is_replaced(services: Services, serving: Serving):
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint()
        before = json.loads(invoke(serving, endpoint, b"text")["Body"])["process"]
        error = refused(serving, endpoint, b"exit")
        after = json.loads(invoke(serving, endpoint, b"text")["Body"])["process"]

    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 500)
    assert after != before


def test_a_container_whose_host_fails_while_it_starts_is_started_again(
    services: Services, serving: Serving
):
    killed = {**serving.container, "Environment": {"KILLED": "yes"}}
    with applied(services, endpoint_invocation):
        answer = invoke(serving, serving.endpoint(container=killed), b"text")

    assert json.loads(answer["Body"])["length"] == 4


def test_a_container_that_takes_too_long_is_given_up(
    services: Services, serving: Serving, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(endpoint_invocation, "MAX_RESPONSE_SECONDS", 0.5)
    with applied(services, endpoint_invocation):
        error = refused(serving, serving.endpoint(), b"hang")

    assert error["Error"]["Code"] == "ModelError"
    assert "timed out" in error["OriginalMessage"]


def test_a_container_that_does_not_start_is_reported_with_its_log(
    services: Services, serving: Serving
):
    broken = {**serving.container, "Environment": {"BROKEN": "yes"}}
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint(container=broken)
        message = refused(serving, endpoint, b"text")["Error"]["Message"]

    assert f"Endpoint {endpoint} is not in service" in message
    assert "exit status 1" in message
    assert "no weights here" in message


@pytest.mark.parametrize(("key", "reason"), [("none.tar.gz", "NoSuchKey"), ("odd", "gzip")])
def test_a_model_that_cannot_be_unpacked_is_named(
    services: Services, serving: Serving, key: str, reason: str
):
    serving.aws.client("s3").put_object(Bucket=serving.bucket, Key="odd", Body=b"no archive")
    url = f"s3://{serving.bucket}/{key}"
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint(container={**serving.container, "ModelDataUrl": url})
        message = refused(serving, endpoint, b"text")["Error"]["Message"]

    assert f"the model {url} cannot be unpacked" in message
    assert reason in message


def test_an_image_that_sagemaker_could_not_start_is_refused(
    services: Services, serving: Serving, tmp_path: Path
):
    image = serving.aws.image(tmp_path / "other", {"Dockerfile": 'CMD ["python", "serve.py"]\n'})
    with applied(services, endpoint_invocation):
        endpoint = serving.endpoint(container={"Image": image})
        message = refused(serving, endpoint, b"text")["Error"]["Message"]

    assert "has no ENTRYPOINT" in message


def test_containers_end_with_the_cloud(services: Services, serving: Serving):
    with applied(services, endpoint_invocation):
        process = json.loads(invoke(serving, serving.endpoint(), b"text")["Body"])["process"]
        assert Path(f"/proc/{process}").exists()
        services.close()

    assert not Path(f"/proc/{process}").exists()
