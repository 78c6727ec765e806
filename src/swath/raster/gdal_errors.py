"""Translate GDAL's errors to swath's, which say what is at fault and whether to retry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from botocore.exceptions import BotoCoreError, ClientError
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from swath import storage
from swath.errors import SceneChangedError, SceneError, SwathError, TransientError
from swath.raster import gdal_env, gdal_opener

_TRANSIENT = re.compile(r"CURL error|HTTP response code: (429|5\d\d)|reduce your request rate")
_MAX_REASON_LENGTH = 400


@contextmanager
def translate_gdal_errors(uri: str, etag: str, problem: str) -> Iterator[None]:
    """Set GDAL's environment for a file, and translate GDAL's errors to swath's.

    Args:
        uri: S3 URI, https address or path of the file.
        etag: ETag of the version that is open.
        problem: What failed, worded to follow the file's address in the message.

    Raises:
        SceneError: GDAL cannot read the file.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: The store did not answer.
    """
    try:
        opener = gdal_opener.reachable() if storage.is_https(uri) else nullcontext()
        with opener, gdal_env.environment(uri, etag):
            yield
    except (RasterioError, CPLE_BaseError) as error:
        raise gdal_error(uri, etag, problem, _without_path(_reason(error), uri)) from error


def _without_path(reason: str, uri: str) -> str:
    """Remove the file's path from GDAL's message, which the address precedes."""
    if storage.is_https(uri):
        return re.sub(r"'?/vsiriopener_\w+/\w+/\w+'?:? ?", "", reason)
    return reason.replace(f"'{gdal_env.path(uri)}' ", "")


def gdal_error(uri: str, etag: str, problem: str, reason: str) -> SwathError:
    """Return swath's error for a failed read.

    Args:
        uri: S3 URI, https address or path of the file.
        etag: ETag of the version that is open.
        problem: What failed, worded to follow the file's address in the message.
        reason: GDAL's message.

    Returns:
        TransientError if the store did not answer, SceneChangedError if the file was replaced
        since it was opened, and SceneError otherwise.
    """
    text = f"{uri} {problem}: {reason}"
    if _TRANSIENT.search(reason):
        return TransientError(text)
    try:
        changed = storage.etag(uri) != etag
    except (BotoCoreError, ClientError, TransientError):
        return TransientError(text)
    return scene_changed(uri) if changed else SceneError(text)


def scene_changed(uri: str) -> SceneChangedError:
    """Return the error for a file that was replaced since it was opened."""
    return SceneChangedError(
        f"{uri} was replaced during its run; upload it again to start a new run"
    )


def _reason(error: BaseException) -> str:
    """Return GDAL's messages, joined, the root cause first."""
    messages: list[str] = []
    cause: BaseException | None = error
    while cause:
        messages.append(" ".join(str(cause).split()))
        cause = cause.__cause__ or cause.__context__
    causes = dict.fromkeys(reversed(messages))
    text = "; ".join(message for message in causes if "previous exc" not in message)
    return text[:_MAX_REASON_LENGTH] or "GDAL gives no reason"
