"""Define `swath local`, which runs the local cloud of a checkout as a program of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from swath.cli.base import Command, Group, examples
from swath.cli.options import local_cloud
from swath.errors import SettingsError

CHECKOUT_FOLDER = Path(__file__).resolve().parents[3]
EXAMPLES = examples(
    "swath local up --port 4566", "swath local up --context swath:endpoints=realtime,async"
)

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Run the whole stack of swath on this machine, without AWS.",
)


@app.command("up", cls=Command, epilog=EXAMPLES)
def up(*, port: local_cloud.Port = 0, context: local_cloud.Context = None) -> None:
    """Deploy the stack on this machine, and keep it running until Ctrl-C.

    The command starts a PostGIS server of its own. If SWATH_POSTGIS_SERVER names a server, it
    creates a new database there instead.
    """
    settings = [word for setting in context or () for word in ("--context", setting)]
    exec_local_cloud(CHECKOUT_FOLDER, ["--port", str(port), *settings])


def exec_local_cloud(checkout: Path, words: list[str]) -> None:
    """Replace this process by the program of the local cloud.

    Raises:
        SettingsError: swath was installed as a package, which does not contain the local cloud.
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
