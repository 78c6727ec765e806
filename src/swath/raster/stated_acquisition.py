"""Determine what the user and the scene's document state about the acquisition."""

from __future__ import annotations

from swath import storage
from swath.messages import Acquisition
from swath.messages.acquisition_time import METADATA_KEY, parse_acquired_at


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
