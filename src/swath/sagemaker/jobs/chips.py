"""The images of a batch transform: what lies below an S3 prefix, without what can be no image.

SageMaker marks a whole job as failed for one object that the container refuses:
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swath import storage
from swath.errors import InputError

MAX_IMAGE_MB = 25
"""The largest image that an endpoint or a batch transform takes."""
_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chips:
    """Images below an S3 prefix."""

    prefix: str
    """The S3 URI that the keys are relative to; ends with a slash."""
    keys: tuple[str, ...]
    """Keys of the images."""
    skipped: tuple[str, ...]
    """What is no image, each with the reason."""

    @property
    def manifest(self) -> list[Any]:
        """The manifest that SageMaker reads instead of listing the prefix."""
        return [{"prefix": self.prefix}, *self.keys]

    @property
    def notice(self) -> str:
        """How many objects were skipped and why, or nothing."""
        if not self.skipped:
            return ""
        more = len(self.skipped) - _MAX_NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"skipped {', '.join(self.skipped[:_MAX_NAMED])}{rest}"


def list_chips(prefix: str) -> Chips:
    """List the images below an S3 prefix.

    Args:
        prefix: an S3 URI of a folder; a slash at its end is added.

    Raises:
        InputError: there is no image.
    """
    folder = f"{prefix.rstrip('/')}/"
    bucket, start = storage.split_s3(folder)
    pages = storage.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    keys, skipped = [], []
    for one in (one for page in pages for one in page.get("Contents", [])):
        key = one["Key"].removeprefix(start)
        if reason := _why_not(key, one["Size"]):
            skipped.append(f"{key or folder} ({reason})")
        else:
            keys.append(key)
    found = Chips(prefix=folder, keys=tuple(keys), skipped=tuple(skipped))
    if not keys:
        notice = f": {found.notice}" if skipped else ""
        raise InputError(
            f"there is no image below {folder}; images are files of at most {MAX_IMAGE_MB} MB "
            f"named {', '.join(_SUFFIXES)}{notice}"
        )
    return found


def _why_not(key: str, size: int) -> str:
    """Why an object cannot be an image; empty where it can."""
    if not size:
        return "empty"
    if not key.lower().endswith(_SUFFIXES):
        return "no image by its name"
    return f"more than {MAX_IMAGE_MB} MB" if size > MAX_IMAGE_MB * 1024**2 else ""
