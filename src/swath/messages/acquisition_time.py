"""Parse and check times of acquisition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1920, 1, 1, tzinfo=UTC)
"""Earliest time of acquisition; aerial photographs that are still in use are not older."""
MAX_AHEAD = timedelta(days=1)
"""Largest time by which an acquisition may be ahead of this machine's clock."""
METADATA_KEY = "acquired-at"
"""Key of the user-defined metadata of an S3 object that states its time of acquisition."""


def format_time(time: datetime) -> str:
    """Return a time as ISO 8601 in UTC, as in `2026-05-31T10:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_acquired_at(text: str) -> str:
    """Return a time that a user gave, as ISO 8601 in UTC.

    Raises:
        ValueError: The text is no time with a time zone, or no time at which a scene can have been
            acquired; the message is a clause that follows the text.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("is no time; write it as 2026-05-31T10:00:00Z") from None
    if time.tzinfo is None:
        raise ValueError("has no time zone; write it as 2026-05-31T10:00:00Z")
    if problem := describe_problem(time):
        raise ValueError(problem)
    return format_time(time)


def describe_problem(time: datetime) -> str:
    """Return why a scene cannot have been acquired at a time with a zone; empty if it can."""
    if time < EARLIEST:
        return f"is before {EARLIEST.year}"
    if time > datetime.now(UTC) + MAX_AHEAD:
        return "is in the future"
    return ""
