"""Determine what the user and the scene's document state about the acquisition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swath import storage
from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.messages.acquisition_time import METADATA_KEY, parse_acquired_at
from swath.raster.acquisition import scene_acquisition
from swath.raster.assets.stack import pixel_scale

if TYPE_CHECKING:
    from swath.items import SceneItem
    from swath.raster.assets.open import OpenedScene


def describe_acquisition(
    opened: OpenedScene, item: SceneItem | None, *, uri: str, given: str = ""
) -> tuple[Acquisition, list[str]]:
    """Return the acquisition of an open scene, and warnings about its document and metadata.

    Args:
        opened: Open scene.
        item: Content of the scene's document; None for a scene of one file.
        uri: Address of the scene.
        given: Time of acquisition that the user gave; empty if there is none.

    Raises:
        SceneChangedError: A file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    document = item.acquisition if item else UNKNOWN_ACQUISITION
    stated, problems = stated_acquisition(uri, given, document)
    scale = pixel_scale(opened.stack)
    acquisition, doubts = scene_acquisition(opened.scene, stated, scale)
    return acquisition, [*(item.warnings if item else ()), *problems, *doubts]


def stated_acquisition(
    uri: str, given: str, document: Acquisition
) -> tuple[Acquisition, list[str]]:
    """Return the acquisition that users and documents state, and warnings about it.

    The time that the user gave comes first, then one in the metadata of the dropped object, then
    that of the scene's document. The time of the drop never counts.

    Args:
        uri: Address of the scene.
        given: Time of acquisition that the user gave; empty if there is none.
        document: Acquisition that the scene's STAC Item or manifest states.

    Raises:
        TransientError: S3 did not answer.
    """
    text = given or storage.user_metadata(uri).get(METADATA_KEY, "")
    if not text:
        return document, []
    try:
        acquired_at = parse_acquired_at(text)
    except ValueError as error:
        warning = (
            f"{uri} was given the time of acquisition {text[:40]!r}, which {error}, so it "
            "was not used"
        )
        return document, [warning]
    return Acquisition.from_json(document.to_json() | {"acquired_at": acquired_at}), []
