"""The edge, with clients as they are used against it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from werkzeug.serving import make_server

from local_cloud.clients import Clients
from local_cloud.errors import LocalCloudError
from local_cloud.faults.client import ActiveFault
from local_cloud.faults.kinds import (
    ConnectionBroken,
    DataApiResuming,
    Fault,
    FunctionInactive,
    SlowDown,
)
from local_cloud.faults.middleware import FAULTS_PATH, FaultMiddleware
from local_cloud.faults.registry import FaultRegistry

Client = Callable[[str], Any]


def service(environ: Any, start_response: Any) -> list[bytes]:
    """Every service: it answers with a JSON object, and to S3 with some bytes."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"0123456789" if "scenes" in environ["PATH_INFO"] else b'{"records": []}'
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, FaultMiddleware(service, FaultRegistry()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(endpoint: str) -> Iterator[Client]:
    """Make clients, and close them."""
    clients = Clients(endpoint)
    yield clients.get
    for made in clients._clients.values():
        made.close()


def call_error(call: Any, **arguments: Any) -> tuple[str, int]:
    """The error code and the status with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FunctionInactive(function="PlanScene"), 409),
        (FunctionInactive(function="PlanScene", error="ResourceNotReadyException"), 502),
        (FunctionInactive(function="PlanScene", error="ResourceConflictException"), 409),
    ],
)
def test_an_inactive_function_is_refused_as_lambda_does(
    endpoint: str, client: Client, fault: FunctionInactive, status: int
):
    functions = client("lambda")
    active = ActiveFault.switch_on(endpoint, fault)
    refused = call_error(functions.invoke, FunctionName="swath-PlanScene1", Payload=b"{}" * 100_000)
    answered = functions.invoke(FunctionName="swath-MergeDetections1", Payload=b"{}")

    assert refused == (fault.error, status)
    assert answered["Payload"].read() == b'{"records": []}'
    assert active.occurrences == 1


def test_the_data_api_reports_that_the_database_resumes(endpoint: str, client: Client):
    statement = {
        "resourceArn": "arn:aws:rds:x",
        "secretArn": "arn:aws:secretsmanager:x",
        "sql": "SELECT 1",
    }
    api = client("rds-data")
    ActiveFault.switch_on(endpoint, DataApiResuming(times=1))

    assert call_error(api.execute_statement, **statement) == ("DatabaseResumingException", 400)
    assert api.execute_statement(**statement)["records"] == []


def test_s3_asks_to_slow_down(endpoint: str, client: Client):
    s3 = client("s3")
    active = ActiveFault.switch_on(endpoint, SlowDown(key="scenes/a", methods=("GET",)))

    assert call_error(s3.get_object, Bucket="scenes", Key="a.tif") == ("SlowDown", 503)
    assert s3.get_object(Bucket="scenes", Key="b.tif")["Body"].read() == b"0123456789"
    assert s3.head_object(Bucket="scenes", Key="a.tif")["ContentLength"] == 10
    assert active.switch_off() == 1
    assert s3.get_object(Bucket="scenes", Key="a.tif")["Body"].read() == b"0123456789"


def test_a_connection_breaks_in_the_middle_of_an_object(endpoint: str, client: Client):
    s3 = client("s3")
    ActiveFault.switch_on(endpoint, ConnectionBroken(key="scenes/a", times=1))
    broken = s3.get_object(Bucket="scenes", Key="a.tif")["Body"]

    with pytest.raises(ResponseStreamingError, match="5 bytes read"):
        broken.read()
    assert s3.get_object(Bucket="scenes", Key="a.tif")["Body"].read() == b"0123456789"


class Unheard(Fault, frozen=True, kw_only=True):
    """A fault that nobody has heard of."""


def test_a_fault_that_is_not_known_is_refused_by_name(endpoint: str):
    with pytest.raises(LocalCloudError, match="Unheard"):
        ActiveFault.switch_on(endpoint, Unheard())


@pytest.mark.parametrize(("method", "path"), [("GET", "/7"), ("DELETE", "/7"), ("DELETE", "/x")])
def test_a_number_that_is_none_is_refused(method: str, path: str):
    middleware = FaultMiddleware(service, FaultRegistry())
    statuses: list[str] = []
    environ = {"PATH_INFO": FAULTS_PATH + path, "REQUEST_METHOD": method}
    body = middleware(environ, lambda status, _headers: statuses.append(status))

    assert statuses == ["400 Bad Request"]
    assert b"".join(body)
