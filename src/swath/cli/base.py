"""Define the command classes: help without Python's types, and errors in one line."""

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
from swath.cli.error_lines import EXIT_INPUT, describe_error

# Exceptions by which typer ends a command.
_TYPER_EXITS = (Exit, Abort)


def examples(*commands: str) -> str:
    """Return the epilog of a command's help, with complete commands."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join((title, *(f"$ {command}" for command in commands)))


class Command(TyperCommand):
    """Command whose help shows no types of Python."""

    def __init__(self, *args: Any, help: str | None = None, **options: Any) -> None:  # noqa: A002
        super().__init__(*args, help=_unwrap(help), **options)

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """Group of commands whose help shows no types of Python."""

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_types(super().get_params(ctx))


class OneLineErrors:
    """Mixin of the outermost command: print every error in one line.

    With `--debug`, the traceback is printed as well.
    """

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the command line."""
        name, words, *_ = args
        _refuse_empty_words(name, words)
        try:
            return super().make_context(*args, **options)  # type: ignore[misc]
        except TyperException as error:
            _print_usage_error(error)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except TyperException as error:
            _print_usage_error(error)
        except _TYPER_EXITS:
            raise
        except BrokenPipeError:
            # The reader of the output has ended, as in `swath … | head`.
            ctx.exit(0)
        except Exception as error:  # noqa: BLE001 (every error has one line)
            if ctx.params.get("debug"):
                print_traceback()
            text, code = describe_error(error)
            print_error(text)
            ctx.exit(code)


class RootGroup(OneLineErrors, Group):
    """Outermost group of commands."""


class RootCommand(OneLineErrors, Command):
    """Single command of a program."""


def _unwrap(text: str | None) -> str | None:
    """Return a docstring with one line for each paragraph; the terminal wraps the lines."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None


def _without_types(params: Any) -> Any:
    """Omit Python's types from the help: `<bool>` of a flag, `<list[Path]>` of an argument."""
    for param in params:
        if isinstance(param, TyperArgument):
            # The metavar of an argument is its name, so typer shows the type besides.
            param.display_type_rich = _no_type  # type: ignore[method-assign]
        elif param.is_flag:
            param.metavar = ""
    return params


def _no_type(ctx: Any) -> str:
    del ctx
    return ""


def _refuse_empty_words(command: str, words: Sequence[str]) -> None:
    """Refuse an empty word, which an unset variable of a shell leaves behind.

    As a path, it would mean the current folder.

    Raises:
        Exit: An argument or the value of an option is empty.
    """
    for before, word in pairwise((command, *words)):
        option = re.fullmatch(r"(--[\w-]+)=", word)
        if option or not word:
            name = option[1] if option else before
            print_error(f"the value after {name!r} is empty; give a value, or omit the option")
            raise Exit(EXIT_INPUT)


def _print_usage_error(error: TyperException) -> NoReturn:
    """Print the usage error of a command in one line, and end the command.

    Raises:
        TyperException: The error itself, if typer uses it only to print the help.
        Exit: In all other cases.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        raise error
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "swath"
    text = _usage_message(error)
    see = " See" if text.endswith("?") else "; see"
    print_error(f"{text}{see} `{command} --help`")
    raise Exit(error.exit_code) from None


def _usage_message(error: TyperException) -> str:
    """Return the error's message, with the option that was probably meant."""
    option: str = getattr(error, "option_name", "")
    nearest = get_close_matches(option, getattr(error, "possibilities", None) or (), n=1)
    if nearest:
        return f"{error.message}; did you mean {nearest[0]}?"
    # A library by which typer checks values begins its messages so.
    return error.format_message().rstrip(".").replace(": Value error, ", ": ")
