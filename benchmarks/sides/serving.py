"""Send requests to a serving container by clients with one request at a time each."""

from __future__ import annotations

import functools
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from benchmarks.meter import Meter, Sample
from benchmarks.models.package import TILE_SIZE
from benchmarks.sides.container import run_container
from benchmarks.texture import Landscape
from swath.models.package import load_package
from swath.models.runtimes.load import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

_HTTP_OK = 200


def measure_http(package: str, *, clients: int, requests_per_client: int, **options: Any) -> Sample:
    """Measure the responses to images of one tile over HTTP.

    Args:
        package: Folder of the model package.
        clients: Number of concurrent clients.
        requests_per_client: Number of requests of each client.
        options: Options of `benchmarks.sides.container.main`.
    """
    body = make_image()
    with run_container(package, **options) as container, ThreadPoolExecutor(clients) as pool:
        send = functools.partial(_send_requests, container.port, body)
        list(pool.map(send, [2] * clients))
        with Meter(companion_pids=[container.pid]) as meter:
            latencies = [
                seconds
                for latencies_of_client in pool.map(send, [requests_per_client] * clients)
                for seconds in latencies_of_client
            ]
    return meter.sample(rate=round(len(latencies) / meter.wall, 2), **_percentiles(latencies))


def measure_model(package: str, *, requests_per_client: int) -> Sample:
    """Run the model alone on the same tile, loaded as for serving."""
    with MemoryFile(make_image()) as file, file.open() as opened:
        tile = opened.read()
    model = load_model(load_package(package))
    latencies = []
    model([tile])
    with Meter() as meter:
        for _ in range(requests_per_client):
            started = time.perf_counter()
            model([tile])
            latencies.append(time.perf_counter() - started)
    return meter.sample(**_percentiles(latencies))


def make_image() -> bytes:
    """Return a GeoTIFF of one tile."""
    pixels = np.moveaxis(Landscape("rgb8", TILE_SIZE).draw_band(0)[:TILE_SIZE, :TILE_SIZE], -1, 0)
    shape = {"width": TILE_SIZE, "height": TILE_SIZE, "count": 3, "dtype": "uint8"}
    georeference = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    with rasterio.Env(), MemoryFile() as file:
        with file.open(
            driver="GTiff", compress="deflate", tiled=True, **shape, **georeference
        ) as out:
            out.write(pixels)
        content: bytes = file.read()
    return content


def _send_requests(port: int, body: bytes, count: int) -> list[float]:
    """Measure the time of each response over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("POST", "/invocations", body, {"Content-Type": "image/tiff"})
        response = connection.getresponse()
        content = response.read()
        latencies.append(time.perf_counter() - started)
        if response.status != _HTTP_OK:
            raise RuntimeError(f"{response.status}: {content.decode()}")
    connection.close()
    return latencies


def _percentiles(latencies: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(latencies, [50, 95])
    return {"p50": round(float(p50), 5), "p95": round(float(p95), 5)}
