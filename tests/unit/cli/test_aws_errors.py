"""Tests of refusals by AWS: a server answers as AWS does, and a user reads one line."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from typer.testing import CliRunner

from swath import storage
from swath.cli import EXIT_FAILED, app
from swath.cli.aws_errors import describe_aws_error

SAGEMAKER = ["model", "versions", "ships"]
LIMIT = (
    "The account-level service limit 'ml.g5.xlarge for spot training job usage' is 0 Instances, "
    "with current utilization of 0 Instances and a request delta of 1 Instances."
)


S3 = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@contextmanager
def server(status, headers, body):
    """Serve every request with the given status, headers and body, but answer HEAD with 404."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(404 if self.command == "HEAD" else status)
            for name, value in (headers | {"Connection": "close"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_POST = do_PUT = do_GET = do_HEAD = answer  # noqa: N815 (http.server's names)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Return a new session without cached credentials or region."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    storage.s3.cache_clear()
    yield
    storage.s3.cache_clear()


def line(*arguments, **env):
    printed = CliRunner().invoke(app, [*arguments], env=env)
    assert printed.exit_code == EXIT_FAILED, printed.output
    assert "Traceback" not in printed.output
    (text,) = printed.output.splitlines()
    return text


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            "ResourceLimitExceeded",
            LIMIT,
            "ask for the quota 'ml.g5.xlarge for spot training job usage' at https://console",
        ),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized",
            "not authorized; ask the administrator of the account to permit ListModelPackages",
        ),
        ("ExpiredTokenException", "The security token is expired", "sign in again (`aws login`"),
        ("UnrecognizedClientException", "The token is invalid.", "invalid; the credentials are"),
        ("ThrottlingException", "Rate exceeded", "Rate exceeded; AWS throttles the requests"),
        ("InternalFailure", "", "AWS refused ListModelPackages: InternalFailure: no reason given"),
    ],
)
def test_a_refusal_is_a_line_with_a_remedy(code, message, says):
    body = json.dumps({"__type": code, "message": message}).encode()

    with server(400, {"x-amzn-errortype": code}, body) as url:
        assert says in line(*SAGEMAKER, AWS_ENDPOINT_URL=url)


def test_no_credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    assert "Unable to locate credentials; sign in with `aws login`" in line(*SAGEMAKER)


def test_no_region(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert "You must specify a region; set AWS_REGION to the region" in line(*SAGEMAKER)


def test_an_unknown_profile():
    assert "could not be found; sign in with" in line(*SAGEMAKER, AWS_PROFILE="nobody")


def test_a_region_that_does_not_answer():
    printed = line(*SAGEMAKER, AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert "Could not connect to the endpoint URL" in printed
    assert "check the network and the region" in printed


def test_an_upload_that_is_refused_names_the_services_reason(monkeypatch, tmp_path):
    """Check the cause: boto3's transfers wrap the service's answer in an error of their own."""
    (tmp_path / "a.tif").write_bytes(b"pixels")

    with server(403, {}, S3) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(S3UploadFailedError) as raised:
            storage.copy(str(tmp_path / "a.tif"), "s3://bucket/a.tif")

    printed = describe_aws_error(raised.value)

    assert "AccessDenied: Access Denied; ask the administrator of the account to permit" in printed
