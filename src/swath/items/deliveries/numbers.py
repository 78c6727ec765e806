"""Parse numbers and times in the metadata of deliveries; what cannot be parsed is not stated."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_MAX_FRACTION_DIGITS = 6


def parse_number(text: str | float | None) -> float | None:
    """Return a finite number; None if the text is missing or none."""
    try:
        number = float(text) if text not in {None, ""} else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def parse_time(text: str | None) -> str | None:
    """Return a time in UTC, ISO 8601 with `Z`; None if the text is missing or no time.

    A time without a zone is UTC. Digits beyond microseconds, which Landsat has, are dropped.
    """
    if not text:
        return None
    whole, point, rest = text.strip().partition(".")
    if point:
        digits = rest.rstrip("Z")
        text = f"{whole}.{digits[:_MAX_FRACTION_DIGITS]}" if digits.isdecimal() else text
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_middle(start: str | None, end: str | None) -> str | None:
    """Return the middle of a period; one end if the other is not stated."""
    first, last = parse_time(start), parse_time(end)
    if not (first and last):
        return first or last
    begin = datetime.fromisoformat(first)
    middle = begin + (datetime.fromisoformat(last) - begin) / 2
    return middle.isoformat().replace("+00:00", "Z")
