"""Define the command `swath`: a module for each group of commands, and `app` with all of them.

Commands import heavy libraries in their functions, so that `--help` and completion respond at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swath.cli.error_lines import EXIT_BUG, EXIT_FAILED, EXIT_INPUT

if TYPE_CHECKING:
    from swath.cli.commands import app

__all__ = ["EXIT_BUG", "EXIT_FAILED", "EXIT_INPUT", "app"]


def __getattr__(name: str) -> object:
    """Import the commands when `app` is read: they need typer, which may not be installed."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from swath.cli.commands import app

    return app
