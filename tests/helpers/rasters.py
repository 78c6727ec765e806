"""Scenes to read: made here, from the folder of real data, or on an S3 that GDAL can reach."""

import itertools
import os
from pathlib import Path

import boto3
import numpy as np
import pytest
import rasterio
from moto.server import ThreadedMotoServer
from rasterio.transform import Affine

from swath import storage

REAL_DATA = Path(
    os.environ.get("SWATH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
UTM = "EPSG:32633"
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
_names = itertools.count()


def real_files(folder):
    """The files of a folder of the real data, for parametrizing; none where it is absent."""
    root = REAL_DATA / folder
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@pytest.fixture
def make_scene(tmp_path):
    """Writes pixels (bands, rows, cols) as a GeoTIFF and gives its path.

    `units` has a name, a scale and an offset for each band.
    """

    def make(pixels, *, name="scene.tif", mask=None, names=(), rpcs=None, units=(), **profile):
        pixels = np.asarray(pixels)
        count, height, width = pixels.shape
        defaults = {"driver": "GTiff", "crs": UTM, "transform": NORTH_UP, "dtype": pixels.dtype}
        path = tmp_path / name
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", width=width, height=height, count=count, **(defaults | profile)
            ) as target,
        ):
            if rpcs:
                target.rpcs = rpcs
            for band, text in enumerate(names, 1):
                target.set_band_description(band, text)
            if units:
                target.units, target.scales, target.offsets = zip(*units, strict=True)
            target.write(pixels)
            if mask is not None:
                target.write_mask(np.asarray(mask))
        return str(path)

    return make


def sparse(path, *, side, nodata=None):
    """A scene of that many px a side which holds no pixel at all."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint16"}
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "SPARSE_OK": True}
    with rasterio.open(
        path, "w", crs=UTM, transform=NORTH_UP, nodata=nodata, BIGTIFF="YES", **profile, **options
    ):
        pass
    return str(path)


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 that speaks HTTP, which GDAL needs."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def http_bucket(s3_server, monkeypatch):
    """The URI of an empty bucket on that server, which boto3 and GDAL are pointed at."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    storage.s3.cache_clear()
    name = f"bucket-{next(_names)}"
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    yield f"s3://{name}"
    storage.s3.cache_clear()


@pytest.fixture
def doomed_server(monkeypatch):
    """Yield the URI of an empty bucket, and a function that stops its S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    storage.s3.cache_clear()
    # All of a process's servers share their buckets, so a name serves once.
    name = f"bucket-{next(_names)}"
    storage.s3().create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    yield f"s3://{name}", server.stop
    storage.s3.cache_clear()
