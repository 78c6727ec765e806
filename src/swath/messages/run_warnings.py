"""Collect the warnings of a run: sentences about a result that looks wrong but was produced.

A warning is one sentence that names the file, the value and the remedy. Shards write their warnings
into their receipts; the merge adds its own and passes all of them on in its summary. From there the
warnings reach `summary.json`, the row in `swath.runs`, the STAC Item, the "Run Completed" event and
the console.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

MAX_WARNINGS = 20
"""Maximum number of warnings of a run; bounded because the state machine carries them."""
MAX_WARNING_CHARACTERS = 1000
"""Maximum length of a warning in characters."""


def gather_warnings(*sources: Iterable[str]) -> list[str]:
    """Return the distinct warnings of all sources in order, up to MAX_WARNINGS of them.

    Args:
        sources: Warnings of each source.

    Returns:
        At most MAX_WARNINGS sentences. If there are more, the last sentence counts the omitted
        warnings.
    """
    warnings = list(dict.fromkeys(_shorten(text) for text in chain.from_iterable(sources)))
    if len(warnings) <= MAX_WARNINGS:
        return warnings
    shown = warnings[: MAX_WARNINGS - 1]
    return [*shown, f"{len(warnings) - len(shown)} more warnings are in the receipts of the shards"]


def no_position_warning(scene: str, count: int) -> list[str]:
    """Return a warning about detections without a position on Earth; empty if `count` is 0.

    Args:
        scene: Address of the scene.
        count: Number of detections without a position, which the result omits.
    """
    if not count:
        return []
    warning = (
        f"{scene}: {count} detections were omitted, because the georeference gives them no "
        "position on Earth, such as off the disc of a weather satellite; mask these pixels"
    )
    return [warning]


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_WARNING_CHARACTERS else f"{text[: MAX_WARNING_CHARACTERS - 1]}…"
