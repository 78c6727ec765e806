"""Refer to a scene of several files by its identity and by the ETags that pin its content."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor, wait

import msgspec

from swath import storage
from swath.items.scene_item import SceneItem
from swath.messages import SceneRef

MAX_LOOKED_UP_FILES = 200
"""Maximum number of files whose ETags name a run; a Sentinel-2 Item has some forty."""
MAX_LOOKUP_SECONDS = 15.0
"""Maximum time in s for looking up the files of a scene; `start_run` has a minute."""
_MAX_THREADS = 16
_DIGEST_CHARACTERS = 32


def reference(item: SceneItem, *, dropped_at: str) -> SceneRef:
    """Return the reference to a scene; the ETags of its files pin a scene without a document.

    Args:
        item: Content of the scene.
        dropped_at: Time of the drop, ISO 8601 UTC.
    """
    digest = digest_files(item)
    return SceneRef(
        uri=item.uri or item.scene_id,
        etag=item.etag or digest,
        dropped_at=dropped_at,
        scene_id=item.scene_id,
        assets=digest if item.etag else "",
    )


def digest_files(item: SceneItem) -> str:
    """Return a digest of the ETags of a scene's files, 32 hexadecimal digits.

    A file that cannot be looked up counts as one without an ETag.
    """
    assets = [asset for asset in item.assets if asset.href][:MAX_LOOKED_UP_FILES]
    for asset in assets:
        storage.configure_access(asset.href, asset.access)
    addresses = [asset.href for asset in assets]
    deadline = time.monotonic() + MAX_LOOKUP_SECONDS
    pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="look-up")
    try:
        lookups = [pool.submit(_look_up, address, deadline) for address in addresses]
        done = wait(lookups, timeout=MAX_LOOKUP_SECONDS).done
        etags = [lookup.result() if lookup in done else "" for lookup in lookups]
    finally:
        # A server that never responds must not hold up the caller.
        pool.shutdown(wait=False, cancel_futures=True)
    text = msgspec.json.encode([list(pair) for pair in zip(addresses, etags, strict=True)])
    return hashlib.sha256(text).hexdigest()[:_DIGEST_CHARACTERS]


def _look_up(address: str, deadline: float) -> str:
    """Return the ETag of a file; empty if there is none, or if it cannot be looked up."""
    if time.monotonic() > deadline:
        return ""
    try:
        return storage.etag(address) or ""
    except Exception:  # noqa: BLE001 (whatever prevents the look-up, the plan reports it)
        return ""
