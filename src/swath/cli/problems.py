"""Errors in one line: what swath raised on purpose, what AWS said, what is not installed, bugs."""

from __future__ import annotations

import errno
import sys

from swath.errors import InputError, SwathError

EXIT_FAILED = 1
EXIT_INPUT = 2
"""What was given cannot be used."""
EXIT_BUG = 70
"""An error that swath did not foresee; sysexits.h calls it EX_SOFTWARE."""

# Module → the extra of pyproject.toml that brings it.
_EXTRAS = {
    "torch": "torch",
    "transformers": "training",
    "onnxscript": "training",
    "optuna": "tuning",
    "sagemaker": "sagemaker",
    "openvino": "openvino",
}


def explain(error: Exception) -> tuple[str, int]:
    """Return what to print about an error, without line breaks, and the exit code.

    Args:
        error: whatever a command raised.
    """
    if isinstance(error, SwathError):
        return str(error), EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    if isinstance(error, ModuleNotFoundError) and not (error.name or "swath").startswith("swath"):
        return missing_module(str(error.name)), EXIT_INPUT
    # botocore takes long to import; where nothing imported it, nothing raised its errors.
    if "botocore" in sys.modules:
        from swath.cli import aws_errors  # noqa: PLC0415

        if isinstance(error, aws_errors.AwsError):
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
    errno.EMFILE: "allow this process more open files (ulimit -n)",
}


def missing_module(name: str) -> str:
    """Return the sentence about a module that is not installed."""
    package = name.partition(".")[0]
    extra = _EXTRAS.get(package, "cli")
    return (
        f"this needs {package}, which is not installed: run `make setup` in swath's repository, "
        f"or install swath with its extra {extra!r}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
