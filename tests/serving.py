"""A serving container as it is deployed: a process of its own, asked over HTTP."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from tests.packages import bright_pixels, write_package
from tests.rasters import NORTH_UP, UTM

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60
BATCH = 4


class Serving:
    """A container that is up."""

    def __init__(self, url, process, folder):
        self.url, self.process, self.folder = url, process, folder
        self.client = httpx.Client(base_url=url, timeout=PATIENCE)

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
    until = time.monotonic() + PATIENCE
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
    """What the model sees in pixels (1, rows, cols): (x, y, score) of each bright one."""
    y, x = np.nonzero(pixels[0] >= 25)
    scores = np.sqrt(pixels[0, y, x].astype(np.float32) / np.float32(100))
    # JSON has the decimals that tell a float32 from its neighbours.
    told = [float(str(score)) for score in scores]
    return sorted(zip(x.tolist(), y.tolist(), told, strict=True))


def seen(answer):
    """The same of an answer in GeoJSON."""
    rows = [feature["properties"] for feature in answer.json()["features"]]
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
