"""All commands as one application, and what becomes of their errors."""

from __future__ import annotations

import traceback
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from swath.cli import evaluate, invoke, local, model, registry, run, train, tune
from swath.cli.problems import explain, printable

# How typer ends a command.
_ENDINGS = (Exit, Abort)


def _refuse(error: TyperException) -> NoReturn:
    """Print in one line what is wrong with the words of a command, and end.

    Raises:
        TyperException: the error itself, where it is only typer's way to print the help.
        Exit: otherwise.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        raise error
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "swath"
    text = f"{error.format_message().rstrip('.')}; see `{command} --help`"
    _print_error(Console(stderr=True), text)
    raise Exit(error.exit_code) from None


def _print_error(console: Console, text: str) -> None:
    console.print(f"error: {printable(text)}", markup=False, highlight=False, soft_wrap=True)


class _Group(TyperGroup):
    """Print every error in one line without a traceback; with `--debug`, the traceback too."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        try:
            return super().make_context(*args, **options)
        except TyperException as error:
            _refuse(error)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TyperException as error:
            _refuse(error)
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
            _print_error(console, text)
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
