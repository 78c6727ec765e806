"""`swath local`: the local cloud of a checkout, which is a program of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from swath.errors import SettingsError

CHECKOUT = Path(__file__).resolve().parents[3]

app = typer.Typer(no_args_is_help=True, help="swath's whole stack on this machine, without AWS.")


# Options are the other program's, which also explains them.
@app.command("up", add_help_option=False, context_settings={"ignore_unknown_options": True})
def up(options: list[str] = typer.Argument(None)) -> None:  # noqa: B008 - typer's way
    """Deploy the stack on this machine and keep it running until Ctrl-C."""
    run_in(CHECKOUT, options or [])


def run_in(checkout: Path, options: list[str]) -> None:
    """Become the local cloud's own program.

    Raises:
        SettingsError: swath was installed as a package, which does not hold the local cloud.
    """
    if not (checkout / "local_cloud" / "__main__.py").is_file():
        raise SettingsError(
            "the local cloud is part of swath's repository, not of its package: clone the "
            "repository, and run `swath local up` from the environment that `make demo` makes there"
        )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "src")]),
    }
    os.execve(sys.executable, [sys.executable, "-m", "local_cloud", *options], environment)  # noqa: S606
