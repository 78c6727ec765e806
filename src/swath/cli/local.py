"""`swath local`: the local cloud of a checkout, which is a program of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from swath.cli.base import Command, Group, examples
from swath.cli.options import local_cloud
from swath.errors import SettingsError

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = examples(
    "swath local up --port 4566", "swath local up --context swath:endpoints=realtime,async"
)

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Run swath's whole stack on this machine, without AWS."
)


@app.command("up", cls=Command, epilog=EXAMPLES)
def up(*, port: local_cloud.Port = 0, context: local_cloud.Context = None) -> None:
    """Deploy the stack on this machine and keep it running until Ctrl-C.

    The database is a PostGIS of its own, or a new one on the server of SWATH_POSTGIS_SERVER.
    """
    settings = [word for setting in context or () for word in ("--context", setting)]
    run_in(CHECKOUT, ["--port", str(port), *settings])


def run_in(checkout: Path, words: list[str]) -> None:
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
    os.execve(sys.executable, [sys.executable, "-m", "local_cloud", *words], environment)  # noqa: S606
