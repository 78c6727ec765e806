"""Clients of a serving container, each with one request under way at a time."""

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
from benchmarks.models.package import TILE
from benchmarks.sides.container import serving
from benchmarks.texture import Landscape
from swath.models.package import load_package
from swath.models.runtimes.load import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

_OK = 200


def answers(package: str, *, clients: int, each: int, **options: Any) -> Sample:
    """Images of one tile, answered over HTTP.

    Args:
        package: what is served.
        clients: how many ask at once.
        each: how many requests each of them sends.
        options: of `benchmarks.sides.container.main`.
    """
    body = image()
    with serving(package, **options) as container, ThreadPoolExecutor(clients) as pool:
        ask = functools.partial(_ask, container.port, body)
        list(pool.map(ask, [2] * clients))
        with Meter(companions=[container.pid]) as meter:
            taken = [seconds for one in pool.map(ask, [each] * clients) for seconds in one]
    return meter.sample(rate=round(len(taken) / meter.wall, 2), **_percentiles(taken))


def alone(package: str, *, each: int) -> Sample:
    """Run the model alone on the same tile, loaded as for serving."""
    with MemoryFile(image()) as file, file.open() as opened:
        tile = opened.read()
    model = load_model(load_package(package))
    taken = []
    model([tile])
    with Meter() as meter:
        for _ in range(each):
            started = time.perf_counter()
            model([tile])
            taken.append(time.perf_counter() - started)
    return meter.sample(**_percentiles(taken))


def image() -> bytes:
    """Return a GeoTIFF of one tile."""
    pixels = np.moveaxis(Landscape("rgb8", TILE).draw(0)[:TILE, :TILE], -1, 0)
    shape = {"width": TILE, "height": TILE, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    with rasterio.Env(), MemoryFile() as file:
        with file.open(driver="GTiff", compress="deflate", tiled=True, **shape, **place) as out:
            out.write(pixels)
        content: bytes = file.read()
    return content


def _ask(port: int, body: bytes, count: int) -> list[float]:
    """Measure the time of each response over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("POST", "/invocations", body, {"Content-Type": "image/tiff"})
        answer = connection.getresponse()
        content = answer.read()
        taken.append(time.perf_counter() - started)
        if answer.status != _OK:
            raise RuntimeError(f"{answer.status}: {content.decode()}")
    connection.close()
    return taken


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(taken, [50, 95])
    return {"p50": round(float(p50), 5), "p95": round(float(p95), 5)}
