"""How GDAL is told to read: from where, with which patience, and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from rasterio.env import Env
from rasterio.session import DummySession

from swath import storage

DRIVERS = ["GTiff", "JP2OpenJPEG", "NITF"]
"""Formats that are one file. A VRT and its like name other files and addresses, which a dropped
object has no right to have opened, and which its ETag does not pin."""

_OPTIONS = {
    # A scene is one object: no listing of its folder, no search for files beside it.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # By default this is a share of the host's memory, which in a container is not ours.
    "GDAL_CACHEMAX": 512 << 20,
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_HTTP_MAX_RETRY": 5,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "VSI_CACHE": "YES",
    "VSI_CACHE_SIZE": 32 << 20,
    # GDAL keeps what it read by address, also after the object there was replaced.
    # https://gdal.org/en/stable/user/virtual_file_systems.html#vsicurl
    "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",
}


def path(uri: str) -> str:
    """The name by which GDAL knows an address; a local path cannot be taken for anything else."""
    if not storage.is_s3(uri):
        return str(Path(uri).absolute())
    bucket, key = storage.split_s3(uri)
    return f"/vsis3/{bucket}/{key}"


def environment(uri: str, etag: str) -> Env:
    """GDAL's settings for reading one object; to be entered around each call that may read.

    An S3 object is read only while it has the ETag. What the process's environment sets is kept.
    Credentials are GDAL's to find, since it also renews them; boto3's would be frozen here.
    """
    options = {name: value for name, value in _OPTIONS.items() if name not in os.environ}
    if storage.is_s3(uri):
        options |= _endpoint() | {"GDAL_HTTP_HEADERS": f'If-Match: "{etag}"'}
    return Env(session=DummySession(), **options)


def _endpoint() -> dict[str, str]:
    """Where S3 is, as this process's boto3 sees it."""
    meta = storage.s3().meta
    host = urlsplit(meta.endpoint_url)
    region = {"AWS_REGION": meta.region_name}
    if (host.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return region
    return region | {
        "AWS_S3_ENDPOINT": host.netloc,
        "AWS_HTTPS": "YES" if host.scheme == "https" else "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }
