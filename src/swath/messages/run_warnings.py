"""Warnings of a run: what looks wrong about a result that is nevertheless there.

A warning is one sentence that names the file, the value and the remedy. Shards put theirs into
their receipts; the merge adds its own and hands all of them on in its summary. From there they
reach `summary.json`, the row in `swath.runs`, the STAC Item, the "Run Completed" event and the
console.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

MAX_WARNINGS = 20
"""The most warnings of a run: they travel through the state machine."""
MAX_CHARACTERS = 1000
"""The most characters of a warning."""


def gather_warnings(*sources: Iterable[str]) -> list[str]:
    """Return the warnings of all sources in their order: each once, and a bounded number of them.

    Args:
        sources: the sentences of each source.

    Returns:
        At most MAX_WARNINGS sentences; the last one counts those that were left out.
    """
    found = list(dict.fromkeys(_shorten(text) for text in chain.from_iterable(sources)))
    if len(found) <= MAX_WARNINGS:
        return found
    kept = found[: MAX_WARNINGS - 1]
    return [*kept, f"{len(found) - len(kept)} more warnings are in the receipts of the shards"]


def unplaced_warning(scene: str, count: int) -> list[str]:
    """Return the warning about detections that have no position on Earth, if there are any.

    Args:
        scene: Address of the scene.
        count: Number of detections that were left out.
    """
    if not count:
        return []
    warning = (
        f"{scene}: {count} detections have no position on Earth by its georeference, as "
        "off the disc of a weather satellite, and were left out; mask these pixels"
    )
    return [warning]


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
