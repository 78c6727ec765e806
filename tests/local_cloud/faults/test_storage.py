"""`swath.storage` and S3's faults, with boto3 over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from local_cloud.faults.kinds import ConnectionBroken, SlowDown
from local_cloud.faults.middleware import FaultMiddleware
from local_cloud.faults.registry import FaultRegistry
from swath import storage
from swath.errors import TransientError
from swath.storage import s3_objects

URI = "s3://work/runs/a.bin"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultRegistry]:
    """Faults of an S3 with an object, whose client does not retry."""
    made = FaultRegistry()
    middleware = FaultMiddleware(DomainDispatcherApplication(create_backend_app), made)
    server = make_server("127.0.0.1", 0, middleware, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    monkeypatch.setattr(s3_objects, "s3", lambda: client)
    client.create_bucket(Bucket="work")
    client.put_object(Bucket="work", Key="runs/a.bin", Body=b"0123456789")
    yield made
    client.delete_object(Bucket="work", Key="runs/a.bin")
    client.close()
    server.shutdown()
    server.server_close()


def copy_here(tmp_path: Path) -> None:
    with storage.reading(URI):
        pass


def write(tmp_path: Path) -> None:
    with storage.writing(URI) as path:
        path.write_bytes(b"new")


CALLS: dict[str, Callable[[Path], Any]] = {
    "status": lambda _: storage.status(URI),
    "status_and_head": lambda _: storage.status_and_head(URI, 5),
    "read_bytes": lambda _: storage.read_bytes(URI),
    "read_end": lambda _: storage.read_end(URI, 5),
    "reading": copy_here,
    "write_bytes": lambda _: storage.write_bytes(URI, b"new"),
    "writing": write,
    "copy": lambda _: storage.copy(URI, URI),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_s3_that_asks_to_slow_down_is_a_transient_error(
    faults: FaultRegistry, tmp_path: Path, call: Callable[[Path], Any]
):
    number = faults.switch_on(SlowDown(key="work/runs"))
    with pytest.raises(TransientError, match=rf"{URI} cannot be (read|written): "):
        call(tmp_path)
    assert faults.switch_off(number)

    call(tmp_path)


@pytest.mark.parametrize("name", ["read_bytes", "read_end"])
def test_an_object_that_breaks_off_is_a_transient_error(
    faults: FaultRegistry, tmp_path: Path, name: str
):
    faults.switch_on(ConnectionBroken(key="work/runs", times=1))

    with pytest.raises(TransientError, match="broken"):
        CALLS[name](tmp_path)
    CALLS[name](tmp_path)


def test_a_copy_that_breaks_off_is_requested_again(faults: FaultRegistry, tmp_path: Path):
    number = faults.switch_on(ConnectionBroken(key="work/runs", times=1))
    with storage.reading(URI) as path:
        content = path.read_bytes()

    assert content == b"0123456789"
    assert faults.occurrences(number) == 1


def test_a_refusal_stays_a_refusal(faults: FaultRegistry):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.write_bytes("s3://nowhere/a", b"")
