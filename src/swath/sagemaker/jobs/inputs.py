"""Check that the stack's roles may read the inputs of SageMaker jobs, and upload local inputs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from swath import storage
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.stack import Deployment

_MAX_CONCURRENT_UPLOADS = 8


def check_inputs(sources: Mapping[str, str], deployment: Deployment) -> None:
    """Check that jobs can read their sources, before anything is launched or paid for.

    Args:
        sources: S3 URIs and local paths of the inputs, by name.
        deployment: Stack whose roles read the inputs.

    Raises:
        InputError: The stack's roles may not read an S3 URI, or a local path does not exist.
    """
    for name, source in sources.items():
        if storage.is_s3(source):
            deployment.check_readable(source)
        elif not Path(source).exists():
            raise InputError(f"there is no file or folder {source} ({name})")


def upload_inputs(sources: Mapping[str, str], deployment: Deployment) -> dict[str, str]:
    """Upload the local sources, each below its own S3 prefix.

    Args:
        sources: S3 URIs and local paths of the inputs, by name.
        deployment: Stack to upload to, below `training/data/` in its results bucket.

    Returns:
        S3 URI of each source, by the same names.

    Raises:
        InputError: As `check_inputs` raises it.
    """
    check_inputs(sources, deployment)
    return {
        name: source if storage.is_s3(source) else _upload(Path(source), deployment)
        for name, source in sources.items()
    }


def _upload(source: Path, deployment: Deployment) -> str:
    prefix = storage.join(deployment.jobs_uri, "data", uuid.uuid4().hex)
    if source.is_file():
        uri = storage.join(prefix, source.name)
        storage.copy(str(source), uri)
        return uri
    files = [path for path in sorted(source.rglob("*")) if _is_data(path, source)]
    targets = [storage.join(prefix, path.relative_to(source).as_posix()) for path in files]
    with ThreadPoolExecutor(_MAX_CONCURRENT_UPLOADS) as pool:
        for _ in pool.map(storage.copy, map(str, files), targets):
            pass
    # The slash excludes other prefixes that begin with the same characters.
    return f"{prefix}/"


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden
