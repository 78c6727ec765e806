"""All commands as one application, and what becomes of their errors."""

from __future__ import annotations

import traceback
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from swath.cli import evaluate, invoke, local, model, registry, run, train, tune
from swath.cli.problems import explain

# How typer ends a command; its usage errors are printed by itself.
_ENDINGS = (Exit, Abort, TyperException)


class _Group(TyperGroup):
    """Print every error in one line without a traceback; with `--debug`, the traceback too."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _ENDINGS:
            raise
        except BrokenPipeError:
            # Whoever read the output has gone, as in `swath … | head`.
            ctx.exit(0)
        except Exception as error:  # noqa: BLE001 (whatever it is, it has one line)
            console = Console(stderr=True)
            if ctx.params.get("debug"):
                console.print(traceback.format_exc(), markup=False, soft_wrap=True)
            text, code = explain(error)
            console.print(f"error: {text}", markup=False, highlight=False, soft_wrap=True)
            ctx.exit(code)


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


def _show_version(wanted: bool) -> None:  # noqa: FBT001 (typer's way)
    if wanted:
        typer.echo(f"swath {version('swath')}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error, too.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print swath's version.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Find what your model detects in satellite scenes, on a laptop or on AWS."""
