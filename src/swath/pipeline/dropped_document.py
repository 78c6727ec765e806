"""Identify the scene of a dropped document, a STAC Item or a list of files, before its run starts.

Versions of an Item replace each other, whatever keys they are dropped under, so `start_run` needs
the Item's identity. The document may stay the same while its files are replaced, so the name of the
run also depends on the ETags of the files.

Whatever is wrong with the document is left to the plan. The plan refuses the scene in a sentence,
and the failure of the run is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from botocore.exceptions import ClientError

from swath.errors import SceneError
from swath.items import SceneSources, read_item
from swath.items.references import digest_files
from swath.messages import SceneRef


def identify_scene(scene: SceneRef, prefixes: Iterable[str]) -> SceneRef | None:
    """Return a scene with the identity of its document and with a digest of its files.

    Args:
        scene: Dropped document.
        prefixes: Allowed sources of the scene's files, as `SceneSources.parse` takes them.

    Returns:
        The scene, unchanged if the document describes no scene or is gone. None if another version
        of the document has replaced the dropped one.

    Raises:
        SettingsError: A source is invalid.
        TransientError: S3 failed, and a retry can succeed.
    """
    sources = SceneSources.parse(prefixes)
    try:
        item = read_item(scene.uri, sources)
    except (SceneError, ClientError, FileNotFoundError):
        return scene
    if item.etag != scene.etag:
        return None
    return msgspec.structs.replace(scene, scene_id=item.scene_id, assets=digest_files(item))
