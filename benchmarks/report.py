"""Print the progress of `make bench`; no other module prints."""

from __future__ import annotations


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)
