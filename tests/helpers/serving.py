"""A serving container as it is deployed: a process of its own, asked over HTTP."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from swath import storage
from swath.sagemaker.client import shards
from tests.helpers.packages import bright_pixels, write_package
from tests.helpers.rasters import NORTH_UP, UTM

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 240
BATCH = 4


class Serving:
    """A container that is up."""

    def __init__(self, url, process, folder):
        self.url, self.process, self.folder = url, process, folder
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)

    def ping(self):
        return self.client.get("/ping").status_code

    def invoke(self, body, content_type="application/octet-stream", **headers):
        headers = {"content-type": content_type} | headers
        return self.client.post("/invocations", content=body, headers=headers)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(folder, **settings):
    """Serve a model package until the block ends.

    Args:
        folder: the package.
        settings: `waiting=1` is SWATH_SERVE_WAITING=1.
    """
    port = free_port()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        "SM_MODEL_DIR": str(folder),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SWATH_SERVE_HOST": "127.0.0.1",
        **{f"SWATH_SERVE_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "sagemaker_jobs.serve_model", "serve"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=env, cwd="/", stderr=log) as process,
    ):
        server = Serving(f"http://127.0.0.1:{port}", process, folder)
        try:
            with server.client:
                _wait_for(server, log)
                yield server
        finally:
            process.kill()


def _wait_for(server, log):
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        try:
            if server.ping() == 200:
                return
        except httpx.TransportError:
            pass
    server.process.kill()
    log.seek(0)
    pytest.fail(f"the container did not start: {log.read()}")


def batched_package(folder):
    """The bright pixels' package, whose model takes four tiles at once, no more and no fewer."""
    model = onnx.load_from_string(bright_pixels())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = BATCH
    return write_package(folder, weights=model.SerializeToString())


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """A container with the bright pixels' package in it."""
    with serving(batched_package(tmp_path_factory.mktemp("model"))) as server:
        yield server


def encoded(pixels, driver, **profile):
    """Pixels (bands, rows, cols) in a file format, as bytes."""
    pixels = np.asarray(pixels)
    if driver == "NPY":
        file = BytesIO()
        np.save(file, pixels)
        return file.getvalue()
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with warnings.catch_warnings(), MemoryFile() as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(driver=driver, **shape, **profile) as out:
            out.write(pixels)
        return file.read()


def decoded(body):
    """Pixels (bands, rows, cols) of an image."""
    with warnings.catch_warnings(), MemoryFile(body) as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as image:
            return image.read()


def bright(pixels):
    """Return what the model detects in pixels (1, rows, cols): (x, y, score) of each bright one."""
    y, x = np.nonzero(pixels[0] >= 25)
    scores = np.sqrt(pixels[0, y, x].astype(np.float32) / np.float32(100))
    # JSON has the decimals that tell a float32 from its neighbors.
    told = [float(str(score)) for score in scores]
    return sorted(zip(x.tolist(), y.tolist(), told, strict=True))


def seen(answer):
    """Return (x_min, y_min, score) of each detection of an answer in GeoJSON, or of its content."""
    told = json.loads(answer if isinstance(answer, bytes) else answer.content)
    rows = [feature["properties"] for feature in told["features"]]
    return sorted((row["x_min"], row["y_min"], row["score"]) for row in rows)


def dots(seed, *, width=60, height=40, count=12, dtype=np.uint8):
    """Pixels (1, height, width), dark but for a few that do not touch."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((1, height, width), dtype)
    lattice = pixels[0, ::4, ::4]
    places = rng.choice(lattice.size, min(count, lattice.size), replace=False)
    lattice[np.unravel_index(places, lattice.shape)] = rng.integers(30, 100, len(places))
    return pixels


PLACED = {"crs": UTM, "transform": NORTH_UP}
"""The profile of a GeoTIFF that says where it is."""


ENDPOINTS = {
    "now": {"ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.g5.xlarge"}]},
    "serverless": {"ProductionVariants": [{"VariantName": "v", "ServerlessConfig": {}}]},
    "later": {
        "ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.g5.xlarge"}],
        "AsyncInferenceConfig": {},
    },
}


class Endpoints:
    """SageMaker, as far as `swath invoke` asks it: what it is sent goes to a real container."""

    def __init__(self, container):
        self.container = container
        self.refusals = []
        """(status, error) of the next requests, each once."""
        self.asked = 0
        self.at_once = self.most = 0
        self.bucket = ""
        self.lock = threading.Lock()

    def describe(self, action, asked):
        """Return the control plane's answers: DescribeEndpoint and DescribeEndpointConfig."""
        name = asked.get("EndpointName") or asked["EndpointConfigName"]
        if name not in ENDPOINTS:
            return 400, {"__type": "ValidationException", "message": "Could not find endpoint"}
        if action == "SageMaker.DescribeEndpoint":
            return 200, {"EndpointName": name, "EndpointConfigName": name}
        config = ENDPOINTS[name] | {"EndpointConfigName": name}
        if name == "later":
            output = {"S3OutputPath": f"{self.bucket}/invocations/answers/"}
            config["AsyncInferenceConfig"] = {"OutputConfig": output}
        return 200, config

    def invoke(self, name, headers, body):
        """Return the runtime's answer: status, headers and body."""
        with self.lock:
            self.asked += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            refusal = self.refusals.pop(0) if self.refusals else None
        try:
            if refusal:
                return refusal[0], {"x-amzn-errortype": refusal[1]}, b'{"Message": "not now"}'
            if name == "later":
                return self._later(headers)
            status, said = self._forward(body, headers["Content-Type"], headers["Accept"])
            return (200, {}, said) if status == 200 else self._model_error(status, said)
        finally:
            with self.lock:
                self.at_once -= 1

    def _forward(self, body, content_type, accept):
        told = self.container.invoke(body, content_type, accept=accept)
        return told.status_code, told.content

    def _model_error(self, status, said):
        told = {
            "Message": "refused",
            "OriginalStatusCode": status,
            "OriginalMessage": said.decode(),
        }
        return 424, {"x-amzn-errortype": "ModelError"}, json.dumps(told).encode()

    def _later(self, headers):
        source = headers["X-Amzn-SageMaker-InputLocation"]
        answer, failure = (f"{self.bucket}/invocations/{at}/{self.asked}" for at in "of")
        content_type, accept = (
            headers[f"X-Amzn-SageMaker-{n}"] for n in ("Content-Type", "Accept")
        )
        status, said = self._forward(storage.read_bytes(source), content_type, accept)
        if status == 200:
            storage.write_bytes(answer, said)
        else:
            said = f"Received client error ({status}) from primary with message {said.decode()}"
            storage.write_bytes(failure, said.encode())
        places = {"OutputLocation": answer, "FailureLocation": failure}
        return 202, {f"X-Amzn-SageMaker-{k}": v for k, v in places.items()}, b"{}"


@pytest.fixture
def endpoints(container, monkeypatch):
    """The endpoints `now`, `serverless` and `later`, of one container."""
    found = Endpoints(container)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if action := self.headers.get("X-Amz-Target"):
                status, told = found.describe(action, json.loads(body))
                headers, said = {}, json.dumps(told).encode()
            else:
                status, headers, said = found.invoke(self.path.split("/")[2], self.headers, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            """Log nothing: the test reports what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name in ("SAGEMAKER", "SAGEMAKER_RUNTIME"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", f"http://127.0.0.1:{server.server_port}")
    shards.runtime_client.cache_clear()
    yield found
    shards.runtime_client.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_image(tmp_path):
    """Writes an image file whose answer is known, and gives its path and pixels."""

    def make(number, driver="PNG", *, name=None):
        suffix = {"PNG": "png", "GTiff": "tif", "NPY": "npy"}[driver]
        path = tmp_path / (name or f"image{number}.{suffix}")
        path.write_bytes(encoded(dots(number), driver))
        return path, dots(number)

    return make
