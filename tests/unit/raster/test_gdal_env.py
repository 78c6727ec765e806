"""Tests of GDAL's environment: S3's endpoint, forbidden features, and warnings."""

import logging

import numpy as np
import pytest
import rasterio
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from swath import storage
from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.scene import open_scene


@pytest.fixture(autouse=True)
def fresh():
    storage.s3.cache_clear()
    yield
    storage.s3.cache_clear()


def options(uri="s3://scenes/x.tif", etag="e1"):
    return gdal_env.environment(uri, etag).options


def test_paths_cannot_be_taken_for_anything_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert gdal_env.path("s3://scenes/a b/x.tif") == "/vsis3/scenes/a b/x.tif"
    assert gdal_env.path("GTIFF_DIR:1:x.tif") == f"{tmp_path}/GTIFF_DIR:1:x.tif"


def test_s3_is_amazons_unless_said_otherwise():
    found = options()

    assert found["AWS_REGION"] == "eu-west-1"
    assert "AWS_S3_ENDPOINT" not in found


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(("scheme", "https"), [("http", "NO"), ("https", "YES")])
def test_s3_is_where_boto3_finds_it(monkeypatch, variable, scheme, https):
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:5000")

    found = options()

    assert found["AWS_S3_ENDPOINT"] == "127.0.0.1:5000"
    assert found["AWS_HTTPS"] == https
    assert found["AWS_VIRTUAL_HOSTING"] == "FALSE"


def test_a_bucket_of_others_has_its_own_region_and_payer():
    storage.configure_bucket("scenes", storage.BucketAccess("us-west-2", requester_pays=True))
    try:
        found, own = options(), options("s3://own/x.tif")
    finally:
        storage.forget_buckets()

    assert (found["AWS_REGION"], found["AWS_REQUEST_PAYER"]) == ("us-west-2", "requester")
    assert own["AWS_REGION"] == "eu-west-1"
    assert "AWS_REQUEST_PAYER" not in own


def test_gdal_signs_for_the_region_of_the_bucket_in_a_function_of_another(
    http_bucket, make_scene, monkeypatch
):
    """Lambda sets both variables to the region of the function."""
    uri = f"{http_bucket}/x.tif"
    storage.copy(make_scene(np.ones((1, 8, 8), np.uint8)), uri)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    signatures, call = [], DomainDispatcherApplication.__call__

    def record(server, environ, start_response):
        signatures.append(environ.get("HTTP_AUTHORIZATION", ""))
        return call(server, environ, start_response)

    monkeypatch.setattr(DomainDispatcherApplication, "__call__", record)
    storage.configure_access(uri, storage.BucketAccess("us-west-2"))
    try:
        with open_scene(uri) as scene:
            scene.read((0, 0, 8, 8), [1])
    finally:
        storage.forget_buckets()

    assert signatures
    assert all("/us-west-2/s3/" in signature for signature in signatures)


def test_objects_are_read_only_while_they_have_their_etag():
    assert options(etag="abc")["GDAL_HTTP_HEADERS"] == 'If-Match: "abc"'
    assert "GDAL_HTTP_HEADERS" not in options("/data/x.tif")


def test_the_environment_has_the_last_word(monkeypatch):
    assert options()["GDAL_CACHEMAX"] == 512 << 20
    monkeypatch.setenv("GDAL_CACHEMAX", "64")

    assert "GDAL_CACHEMAX" not in options()


@pytest.mark.parametrize("silence", ["all logs", "this log", "nothing"])
def test_a_warning_is_heard_whatever_logs_are_set_to(monkeypatch, silence):
    log = logging.getLogger("rasterio._err")
    monkeypatch.setattr(logging.root.manager, "disable", 50 if silence == "all logs" else 0)
    monkeypatch.setattr(log, "level", logging.CRITICAL if silence == "this log" else 0)
    log.manager._clear_cache()
    with pytest.raises(gdal_env.DamageError, match="a warning"), gdal_env.raise_warnings():
        log.warning("a %s", "warning")


def test_a_damaged_jpeg_is_refused_with_logs_disabled(tmp_path, monkeypatch):
    path = tmp_path / "x.tif"
    profile = {"driver": "GTiff", "compress": "JPEG", "tiled": True, "photometric": "YCBCR"}
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8)
    place = {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, 5, 0, -1e-4, 50)}
    shape = {"width": 64, "height": 64, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, **shape, **place) as out:
        out.write(pixels)
    content = bytearray(path.read_bytes())
    content[-2000:-1000] = bytes(1000)
    path.write_bytes(content)
    monkeypatch.setattr(logging.root.manager, "disable", 50)
    logging.root.manager._clear_cache()

    with open_scene(str(path)) as scene, pytest.raises(SceneError, match="Corrupt JPEG"):
        scene.read((0, 0, 64, 64), [1, 2, 3])
