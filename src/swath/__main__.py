"""Run the command `swath`, also as `python -m swath`."""

from __future__ import annotations

import sys

from swath.cli.error_lines import EXIT_INPUT
from swath.errors.extras import missing_module_message


def main() -> None:
    """Run the command; if a library is not installed, print how to install it."""
    try:
        from swath.cli.commands import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "swath":
            raise
        print(f"error: {missing_module_message(error.name)}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INPUT)
    app(prog_name="swath")


if __name__ == "__main__":
    main()
