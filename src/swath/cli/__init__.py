"""The command `swath`: a module for each group of commands, and `app`, which holds them all.

Commands import heavy libraries in their functions, so that `--help` and completion answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swath.cli.problems import EXIT_BUG, EXIT_FAILED, EXIT_INPUT

if TYPE_CHECKING:
    from swath.cli.commands import app

__all__ = ["EXIT_BUG", "EXIT_FAILED", "EXIT_INPUT", "app"]


def __getattr__(name: str) -> object:
    """Import the commands when `app` is read: they need typer, which may not be installed."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from swath.cli.commands import app

    return app
