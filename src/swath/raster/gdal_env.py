"""GDAL's configuration: credentials, retries, timeouts, no look-up of sidecars, no lenient reads.

Whatever reads a raster in swath does so within `environment` and `warnings_raised`, by way of
`swath.raster.dataset`. GDAL by itself takes much damage for pixels: its threads lose their errors,
and what a decoder cannot make out is grey, black or whatever its memory held before.
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
"""Formats that are one file. A VRT and its like name other files and addresses, which a dropped
object has no right to have opened, and which its ETag does not pin."""

STRICT = {
    # Threads of the JPEG 2000 driver lose their errors, those of the GeoTIFF driver take what they
    # could not read for zeros.
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    # Otherwise what is missing of a truncated JPEG is grey.
    # https://gdal.org/en/stable/drivers/raster/jpeg.html
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    # The short way through a whole PNG takes what is missing of a truncated one for pixels.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_PAM_ENABLED": "NO",
}
"""Settings on which it depends that damage is noticed; no environment variable changes them."""

CACHE_BYTES = 512 << 20
"""Decoded blocks that GDAL keeps in memory, of all files together."""

_OPTIONS = {
    # A scene is one object: no listing of its folder, no search for files beside it.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # By default this is a share of the host's memory, which in a container is not ours.
    "GDAL_CACHEMAX": CACHE_BYTES,
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

    An S3 object is read only while it has the ETag. What the process's environment sets is kept,
    except for STRICT.
    Credentials are GDAL's to find, since it also renews them; boto3's would be frozen here.
    """
    options = {name: value for name, value in _OPTIONS.items() if name not in os.environ}
    if storage.is_s3(uri):
        options |= _endpoint() | {"GDAL_HTTP_HEADERS": f'If-Match: "{etag}"'}
    return Env(session=DummySession(), **options, **STRICT)


class DamageError(RasterioError):  # type: ignore[misc] # rasterio has no types
    """What GDAL reads is damaged, though it went on."""


class _Warnings(logging.Filter):
    """Keeps what GDAL warns of in this thread, while somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    @property
    def heard(self) -> list[str] | None:
        """What was heard in this thread; None where nobody listens."""
        return getattr(self._local, "heard", None)

    @heard.setter
    def heard(self, messages: list[str] | None) -> None:
        self._local.heard = messages

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a warning rather than log it."""
        heard = self.heard
        if heard is None or record.levelno != logging.WARNING:
            return True
        heard.append(record.getMessage())
        return False


class _Log(logging.Logger):
    """A log whose warnings are heard whatever a program has set it, or all logs, to."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (the library's name)
        """Whether a record of that level is made at all."""
        heard = level == logging.WARNING and _warnings.heard is not None
        return heard or super().isEnabledFor(level)


_warnings = _Warnings()
# This is where rasterio logs what GDAL says, in the thread to which GDAL says it.
_log = logging.getLogger("rasterio._err")
_log.__class__ = _Log
_log.addFilter(_warnings)


@contextmanager
def warnings_raised() -> Iterator[None]:
    """Raise what GDAL warns of while it reads pixels: a decoder that goes on has made some up.

    Raises:
        DamageError: there was a warning, and no error.
    """
    before, _warnings.heard = _warnings.heard, []
    try:
        yield
        heard = _warnings.heard
    finally:
        _warnings.heard = before
    if heard:
        raise DamageError("; ".join(dict.fromkeys(heard)))


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
