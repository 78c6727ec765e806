"""List the images of a batch transform below an S3 prefix, without objects that cannot be images.

SageMaker marks a whole job as failed if the container refuses a single object:
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swath import storage
from swath.errors import InputError

MAX_IMAGE_MB = 25
"""Maximum size in MB of an image for an endpoint or a batch transform."""
_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
"""Suffixes of images, in lower case."""
_MAX_NAMED = 3
"""Maximum number of skipped objects that a notice names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chips:
    """Images below an S3 prefix."""

    prefix: str
    """S3 URI that the keys are relative to, with a slash at its end."""
    keys: tuple[str, ...]
    """Keys of the images, relative to `prefix`."""
    skipped: tuple[str, ...]
    """Keys of objects that are not images, each with the reason."""

    @property
    def manifest(self) -> list[Any]:
        """Manifest that SageMaker reads instead of listing the prefix."""
        return [{"prefix": self.prefix}, *self.keys]

    @property
    def notice(self) -> str:
        """Notice with the number of skipped objects and the reasons; empty if none was skipped."""
        if not self.skipped:
            return ""
        more = len(self.skipped) - _MAX_NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"skipped {', '.join(self.skipped[:_MAX_NAMED])}{rest}"


def list_chips(prefix: str) -> Chips:
    """List the images below an S3 prefix.

    Args:
        prefix: S3 URI of a folder, with or without a slash at its end.

    Raises:
        InputError: There is no image.
    """
    folder = f"{prefix.rstrip('/')}/"
    bucket, start = storage.split_s3(folder)
    pages = storage.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    keys, skipped = [], []
    for one in (one for page in pages for one in page.get("Contents", [])):
        key = one["Key"].removeprefix(start)
        if reason := _skip_reason(key, one["Size"]):
            skipped.append(f"{key or folder} ({reason})")
        else:
            keys.append(key)
    chips = Chips(prefix=folder, keys=tuple(keys), skipped=tuple(skipped))
    if not keys:
        notice = f": {chips.notice}" if skipped else ""
        raise InputError(
            f"there is no image below {folder}; images are files of at most {MAX_IMAGE_MB} MB "
            f"named {', '.join(_SUFFIXES)}{notice}"
        )
    return chips


def _skip_reason(key: str, size: int) -> str:
    """Return the reason why an object cannot be an image; empty if it can be one.

    Args:
        key: Key of the object.
        size: Size of the object in bytes.
    """
    if not size:
        return "empty"
    if not key.lower().endswith(_SUFFIXES):
        return "unknown suffix"
    return f"more than {MAX_IMAGE_MB} MB" if size > MAX_IMAGE_MB * 1024**2 else ""
