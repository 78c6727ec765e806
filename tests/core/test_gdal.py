"""What GDAL is told: where S3 is, what it may not do, and that the environment decides."""

import pytest

from swath import gdal, storage


@pytest.fixture(autouse=True)
def fresh():
    storage.s3.cache_clear()
    yield
    storage.s3.cache_clear()


def options(uri="s3://scenes/x.tif", etag="e1"):
    return gdal.environment(uri, etag).options


def test_paths_cannot_be_taken_for_anything_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert gdal.path("s3://scenes/a b/x.tif") == "/vsis3/scenes/a b/x.tif"
    assert gdal.path("GTIFF_DIR:1:x.tif") == f"{tmp_path}/GTIFF_DIR:1:x.tif"


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


def test_objects_are_read_only_while_they_have_their_etag():
    assert options(etag="abc")["GDAL_HTTP_HEADERS"] == 'If-Match: "abc"'
    assert "GDAL_HTTP_HEADERS" not in options("/data/x.tif")


def test_the_environment_has_the_last_word(monkeypatch):
    assert options()["GDAL_CACHEMAX"] == 512 << 20
    monkeypatch.setenv("GDAL_CACHEMAX", "64")

    assert "GDAL_CACHEMAX" not in options()
