"""The command `swath`."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from swath.cli import evaluate, invoke, local, model, registry, run, train, tune
from swath.errors import InputError, SwathError

EXIT_FAILED = 1
EXIT_INPUT = 2
"""What was given cannot be used."""


class _Group(TyperGroup):
    """Print an error that swath raised on purpose, or AWS's, in one line without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SwathError as error:
            Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
            ctx.exit(EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED)
        except Exception as error:
            # botocore takes long to import; where nothing imported it, nothing raised its errors.
            if "botocore" not in sys.modules:
                raise
            from swath.cli.aws_errors import AwsError, explain  # noqa: PLC0415

            if not isinstance(error, AwsError):
                raise
            Console(stderr=True).print(f"error: {explain(error)}", markup=False, soft_wrap=True)
            ctx.exit(EXIT_FAILED)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find what your model detects in satellite scenes, on a laptop or on AWS.",
)
app.command("run")(run.run)
app.command("invoke")(invoke.invoke)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("transform")(registry.transform)
for command in (registry.register, registry.versions, registry.approve, registry.reject):
    model.app.command(command.__name__)(command)
app.add_typer(local.app, name="local")
app.add_typer(model.app, name="model")


@app.callback()
def _main() -> None:
    """Find what your model detects in satellite scenes, on a laptop or on AWS."""
