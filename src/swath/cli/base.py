"""Command classes of the command line: help without noise, errors in one line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NoReturn

from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from swath.cli.console import print_error, print_traceback
from swath.cli.problems import EXIT_INPUT, explain

# How typer ends a command.
_ENDINGS = (Exit, Abort)


def examples(*commands: str) -> str:
    """Return the epilog of a command's help, with commands that can be typed as they are."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join((title, *(f"$ {command}" for command in commands)))


class Command(TyperCommand):
    """A command whose help shows no types of Python."""

    def __init__(self, *args: Any, help: str | None = None, **options: Any) -> None:  # noqa: A002
        super().__init__(*args, help=_unwrapped(help), **options)

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help shows no types of Python."""

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_types(super().get_params(ctx))


class OneLineErrors:
    """Print every error in one line without a traceback; with `--debug`, the traceback too.

    Mixed into the class of the outermost command.
    """

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the command line."""
        name, words, *_ = args
        _refuse_empty(name, words)
        try:
            return super().make_context(*args, **options)  # type: ignore[misc]
        except TyperException as error:
            _refuse(error)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except TyperException as error:
            _refuse(error)
        except _ENDINGS:
            raise
        except BrokenPipeError:
            # Whoever read the output has gone, as in `swath … | head`.
            ctx.exit(0)
        except Exception as error:  # noqa: BLE001 (whatever it is, it has one line)
            if ctx.params.get("debug"):
                print_traceback()
            text, code = explain(error)
            print_error(text)
            ctx.exit(code)


class RootGroup(OneLineErrors, Group):
    """The outermost group of commands."""


class RootCommand(OneLineErrors, Command):
    """A command of its own program."""


def _unwrapped(text: str | None) -> str | None:
    """Return a docstring with one line for each paragraph, as the terminal breaks the lines."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None


def _without_types(params: Any) -> Any:
    """Leave Python's types out of the help: `<bool>` of a flag, `<list[Path]>` of an argument."""
    for param in params:
        if isinstance(param, TyperArgument):
            # Its metavar is its name, so typer shows the type, whatever the metavar is.
            param.display_type_rich = _no_type  # type: ignore[method-assign]
        elif param.is_flag:
            param.metavar = ""
    return params


def _no_type(ctx: Any) -> str:
    del ctx
    return ""


def _refuse_empty(command: str, words: Sequence[str]) -> None:
    """Refuse an empty word, as an unset variable of a shell leaves it: no path or name is empty.

    As a path it would stand for the current folder.

    Raises:
        Exit: there is an empty argument, or an option with an empty value.
    """
    for before, word in pairwise((command, *words)):
        option = re.fullmatch(r"(--[\w-]+)=", word)
        if option or not word:
            name = option[1] if option else before
            print_error(
                f"what follows {name!r} is empty; give a value there, or leave the option out"
            )
            raise Exit(EXIT_INPUT)


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
    text = _message(error)
    see = " See" if text.endswith("?") else "; see"
    print_error(f"{text}{see} `{command} --help`")
    raise Exit(error.exit_code) from None


def _message(error: TyperException) -> str:
    """Return the error's message, with the option that was likely meant."""
    given: str = getattr(error, "option_name", "")
    nearest = get_close_matches(given, getattr(error, "possibilities", None) or (), n=1)
    if nearest:
        return f"{error.message}; did you mean {nearest[0]}?"
    # So begins a message of a library that typer checks values with.
    return error.format_message().rstrip(".").replace(": Value error, ", ": ")
