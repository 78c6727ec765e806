"""Errors in one line: what swath raised on purpose, what AWS said, what is not installed, bugs."""

from __future__ import annotations

import errno
import sys

from swath.errors import InputError, SwathError, TransientError
from swath.errors.exit_codes import CommandExit
from swath.errors.extras import not_installed

EXIT_FAILED = CommandExit.FAILED
EXIT_INPUT = CommandExit.INPUT
EXIT_BUG = CommandExit.BUG
MAX_LETTERS = 1500
"""The most letters of a line about an error: a screen or two."""


def explain(error: Exception) -> tuple[str, int]:
    """Return what to print about an error, as one printable line, and the exit code.

    A line that is too long to be read, since it quotes its input, is cut in its middle: the file
    is named at its beginning, and the remedy at its end.

    Args:
        error: whatever a command raised.
    """
    text, code = _explain(error)
    return _shortened(printable(text)), code


def _shortened(text: str) -> str:
    if len(text) <= MAX_LETTERS:
        return text
    return f"{text[: MAX_LETTERS * 2 // 3]} … {text[-MAX_LETTERS // 3 :]}"


def printable(text: str) -> str:
    """Return a text as one line that a terminal shows as it is.

    Names of files, classes and objects may hold line breaks, escape sequences and surrogates;
    these are printed as escapes.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, SwathError):
        return _with_remedy(error), EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    if isinstance(error, ModuleNotFoundError) and not (error.name or "swath").startswith("swath"):
        return not_installed(str(error.name)), EXIT_INPUT
    # botocore takes long to import; where nothing imported it, nothing raised its errors.
    if "botocore" in sys.modules:
        from swath.cli import aws_errors

        if aws_errors.is_of_aws(error):
            return aws_errors.explain(error), EXIT_FAILED
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        return f"{_one_line(error)}; {_REMEDIES[error.errno]}", EXIT_FAILED
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory; close other programs, or take smaller shards",
            EXIT_FAILED,
        )
    unforeseen = f"{type(error).__name__}: {_one_line(error) or 'no message'}"
    return f"{unforeseen}. {_REPORT}", EXIT_BUG


_REPORT = (
    "swath did not foresee this; please report it, with what `swath --debug` prints in front of "
    "the same command"
)
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.EACCES: "choose a folder or file that this user may use",
    errno.EPERM: "choose a folder or file that this user may use",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOTDIR: "choose a folder there, not a file",
    errno.EISDIR: "choose a file there, not a folder",
    errno.EEXIST: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "choose a folder whose disk takes larger files (ulimit -f says the limit)",
    errno.EIO: "check the disk",
    errno.ELOOP: "its symbolic links lead in a circle; choose another folder or file",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
}


def _with_remedy(error: SwathError) -> str:
    """Return the sentence of swath's own error, and the remedy where AWS's SDK led to it."""
    if isinstance(error, TransientError) and "botocore" in sys.modules and error.__cause__:
        from swath.cli import aws_errors

        return aws_errors.with_remedy(str(error), error.__cause__)
    return str(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
