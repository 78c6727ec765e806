"""Print the progress of `make bench`; no other module prints."""

from __future__ import annotations


def print_line(text: str) -> None:
    """Print a line of progress."""
    print(text, flush=True)
