"""`python -m swath`, and the installed command `swath`."""

from __future__ import annotations

import sys

from swath.cli.problems import EXIT_INPUT
from swath.errors.extras import not_installed


def main() -> None:
    """Run the command; say in one line what it needs where that is not installed."""
    try:
        from swath.cli.commands import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "swath":
            raise
        print(f"error: {not_installed(error.name)}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INPUT)
    app(prog_name="swath")


if __name__ == "__main__":
    main()
