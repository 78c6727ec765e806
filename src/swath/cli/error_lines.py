"""Describe any error in one line, and choose the exit code."""

from __future__ import annotations

import errno
import sys

from swath.errors import InputError, SwathError, TransientError
from swath.errors.exit_codes import CommandExit
from swath.errors.extras import missing_module_message

EXIT_FAILED = CommandExit.FAILED
EXIT_INPUT = CommandExit.INPUT
EXIT_BUG = CommandExit.BUG
MAX_ERROR_CHARACTERS = 1500
"""Maximum length of a line about an error: one or two screens."""


def describe_error(error: Exception) -> tuple[str, int]:
    """Return one printable line about an error, and the exit code.

    A line that is too long, because it quotes its input, is cut in the middle. Its beginning names
    the file, and its end the remedy.

    Args:
        error: Exception that a command raised.
    """
    text, code = _describe(error)
    return _shorten(printable(text)), code


def _shorten(text: str) -> str:
    if len(text) <= MAX_ERROR_CHARACTERS:
        return text
    return f"{text[: MAX_ERROR_CHARACTERS * 2 // 3]} … {text[-MAX_ERROR_CHARACTERS // 3 :]}"


def printable(text: str) -> str:
    """Return a text as one line of printable characters.

    Names of files, classes and objects may contain line breaks, escape sequences and surrogates.
    These are replaced by escapes.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, SwathError):
        return _with_remedy(error), EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    if isinstance(error, ModuleNotFoundError) and not (error.name or "swath").startswith("swath"):
        return missing_module_message(str(error.name)), EXIT_INPUT
    # Importing botocore is slow. If it is not imported, none of its errors was raised.
    if "botocore" in sys.modules:
        from swath.cli import aws_errors

        if aws_errors.is_aws_error(error):
            return aws_errors.describe_aws_error(error), EXIT_FAILED
    if isinstance(error, OSError) and error.errno in _REMEDY_BY_ERRNO:
        return f"{_one_line(error)}; {_REMEDY_BY_ERRNO[error.errno]}", EXIT_FAILED
    if isinstance(error, MemoryError):
        return (
            "memory does not suffice; close other programs, or use a machine with more memory",
            EXIT_FAILED,
        )
    unexpected = f"{type(error).__name__}: {_one_line(error) or 'no message'}"
    return f"{unexpected}. {_BUG_REPORT}", EXIT_BUG


_BUG_REPORT = (
    "This error is unexpected: please report it, with the output of the same command after "
    "`swath --debug`"
)
_REMEDY_BY_ERRNO = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.EACCES: "choose a folder or file that this user may access",
    errno.EPERM: "choose a folder or file that this user may access",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOTDIR: "choose a folder there, not a file",
    errno.EISDIR: "choose a file there, not a folder",
    errno.EEXIST: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "choose a disk that allows larger files, or raise the limit (ulimit -f)",
    errno.EIO: "check the disk",
    errno.ELOOP: "its symbolic links form a loop; choose another folder or file",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
}


def _with_remedy(error: SwathError) -> str:
    """Return the message of a SwathError; if AWS's SDK caused the error, with its remedy."""
    if isinstance(error, TransientError) and "botocore" in sys.modules and error.__cause__:
        from swath.cli import aws_errors

        return aws_errors.with_remedy(str(error), error.__cause__)
    return str(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
