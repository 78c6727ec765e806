"""What `make bench` says while it runs: the one place that prints."""

from __future__ import annotations


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)
