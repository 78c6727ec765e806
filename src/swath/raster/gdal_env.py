"""Configure GDAL: credentials, retries, timeouts, no lookup of sidecar files, no lenient reads.

swath reads rasters through `swath.raster.dataset`, within `environment` and `raise_warnings`. By
default GDAL returns pixels for many damaged blocks. Errors in its threads are lost, and what a
decoder cannot decode becomes gray, black or the previous content of its memory.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rasterio.env import Env
from rasterio.errors import RasterioError
from rasterio.session import DummySession

from swath import storage

DRIVERS = ["GTiff", "JP2OpenJPEG", "NITF"]
"""GDAL drivers of the formats that swath reads, all of which are single files.

A VRT or a similar format refers to other files and addresses. A dropped object must not cause those
to be opened, and its ETag does not pin their versions.
"""

STRICT_OPTIONS = {
    # Errors in the threads of the JPEG 2000 driver are lost. The threads of the GeoTIFF driver
    # return zeros for what they could not read.
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    # Otherwise the missing part of a truncated JPEG is gray.
    # https://gdal.org/en/stable/drivers/raster/jpeg.html
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    # The optimized read of a whole PNG returns pixels for the missing part of a truncated file.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_PAM_ENABLED": "NO",
}
"""GDAL settings that damage detection depends on; no environment variable overrides them."""

CACHE_BYTES = 512 << 20
"""Size in bytes of GDAL's cache of decoded blocks, which all files share."""

_OPTIONS = {
    # A scene is one object: its folder is not listed, and no sidecar files are looked up.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # The default is a share of the host's memory, of which a container may use only a part.
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_HTTP_MAX_RETRY": 5,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "VSI_CACHE": "YES",
    "VSI_CACHE_SIZE": 32 << 20,
    # GDAL caches bytes by address, and keeps them after the object there was replaced.
    # https://gdal.org/en/stable/user/virtual_file_systems.html#vsicurl
    "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",
}


def path(uri: str) -> str:
    """Return the path by which GDAL opens an address.

    A local path becomes absolute, so that GDAL cannot take it for anything else.

    Raises:
        ValueError: The address is an https address, where GDAL would follow redirects.
    """
    if storage.is_https(uri):
        raise ValueError(f"GDAL may not open {uri} itself")
    if not storage.is_s3(uri):
        return str(Path(uri).absolute())
    bucket, key = storage.split_s3(uri)
    return f"/vsis3/{bucket}/{key}"


def environment(uri: str, etag: str) -> Env:
    """Return GDAL's settings for reading one object, to be entered around each call that may read.

    An S3 object is read only while it has the given ETag. Variables of the process's environment
    take precedence, except over `STRICT_OPTIONS`. GDAL obtains the credentials itself, since it
    also renews them; boto3's credentials would be frozen here.
    """
    options = {name: value for name, value in _OPTIONS.items() if name not in os.environ}
    if storage.is_s3(uri):
        access = storage.bucket_access(storage.split_s3(uri)[0])
        options |= _endpoint(uri) | {"GDAL_HTTP_HEADERS": f'If-Match: "{etag}"'}
        if access.requester_pays:
            options["AWS_REQUEST_PAYER"] = "requester"
    return Env(session=DummySession(), **options, **STRICT_OPTIONS)


class DamageError(RasterioError):  # type: ignore[misc] # rasterio has no types
    """Damage in a file that GDAL read without raising an error."""


class _WarningCollector(logging.Filter):
    """Log filter that collects GDAL's warnings of a thread, instead of logging them."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    @property
    def collected(self) -> list[str] | None:
        """Warnings collected in this thread; None while none are collected."""
        return getattr(self._local, "collected", None)

    @collected.setter
    def collected(self, messages: list[str] | None) -> None:
        self._local.collected = messages

    def filter(self, record: logging.LogRecord) -> bool:
        """Collect a warning, and return whether the record is to be logged."""
        collected = self.collected
        if collected is None or record.levelno != logging.WARNING:
            return True
        collected.append(record.getMessage())
        return False


class _CollectingLogger(logging.Logger):
    """Logger whose warnings can be collected, whatever log level a program has set."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (the library's name)
        """Return whether a record of a level is created; warnings are while they are collected."""
        collected = level == logging.WARNING and _warnings.collected is not None
        return collected or super().isEnabledFor(level)


_warnings = _WarningCollector()
# rasterio logs GDAL's messages here, in the thread that called GDAL.
_log = logging.getLogger("rasterio._err")
_log.__class__ = _CollectingLogger
_log.addFilter(_warnings)


@contextmanager
def raise_warnings() -> Iterator[None]:
    """Raise GDAL's warnings as errors while it reads pixels.

    A decoder that warns and continues has invented some of the pixels.

    Raises:
        DamageError: GDAL warned, and raised no error.
    """
    before, _warnings.collected = _warnings.collected, []
    try:
        yield
        collected = _warnings.collected
    finally:
        _warnings.collected = before
    if collected:
        raise DamageError("; ".join(dict.fromkeys(collected)))


def _endpoint(uri: str) -> dict[str, str]:
    """Return GDAL's options for the S3 endpoint and region that boto3 uses for a bucket."""
    meta = storage.s3_for(storage.split_s3(uri)[0]).meta
    host = urlsplit(meta.endpoint_url)
    # GDAL prefers AWS_DEFAULT_REGION, which Lambda sets to the region of the function.
    region = {"AWS_REGION": meta.region_name, "AWS_DEFAULT_REGION": meta.region_name}
    if (host.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return region
    return region | {
        "AWS_S3_ENDPOINT": host.netloc,
        "AWS_HTTPS": "YES" if host.scheme == "https" else "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }
