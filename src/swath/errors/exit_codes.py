"""Define the exit codes of commands and jobs, with their meanings; docs/cli.md lists them.

Codes from 64 on are those of sysexits.h. Codes above 128 are 128 plus the number of a signal.
"""

from __future__ import annotations

import enum
from typing import Self

from swath.errors import (
    InputError,
    NoGpuError,
    ShardInterruptedError,
    SwathError,
    TrainingInterruptedError,
    TransientError,
)


class _Exit(enum.IntEnum):
    """Exit code with its meaning."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create an exit code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class CommandExit(_Exit):
    """Exit code of a `swath` command."""

    DONE = 0, "The command did what it was asked to do."
    FAILED = 1, "The work or a service failed, a gate refused a package, or the cost was declined."
    INPUT = 2, "Something that was given cannot be used: an option, a file, a value, a setting."
    BUG = 70, "swath did not foresee the error: please report it, with what `--debug` prints."
    INTERRUPTED = 130, "Ctrl-C (SIGINT) ended it. A training left a checkpoint for `--resume`."
    TERMINATED = 143, "SIGTERM ended it. A training left a checkpoint for `--resume`."


class JobExit(_Exit):
    """Exit code of a job on AWS Batch or SageMaker, or of the model server."""

    DONE = 0, "The work is done. A shard whose input cannot be used says so in its receipt."
    BUG = 1, "swath did not foresee the error: Python's own code for a traceback."
    USAGE = 2, "The command line of the container cannot be used."
    REFUSED = 3, "A package was measured, and falls below the one in use or below what was asked."
    INPUT = 65, "What was given cannot be used; trying again changes nothing."
    NO_GPU = 69, "The GPU of the host cannot be used; the log names its driver."
    FAILED = 70, "The work failed: the training came to nothing, or a model broke its promise."
    TRANSIENT = 75, "A service did not answer, however often it was asked; Batch tries again."
    INTERRUPTED = 143, "SIGTERM: the host was reclaimed. The work goes on from what was kept."

    @classmethod
    def from_error(cls, error: BaseException) -> JobExit:
        """Return the exit code of a job that ends with the given error."""
        return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), cls.BUG)


_OF_ERRORS: tuple[tuple[type[SwathError], JobExit], ...] = (
    (ShardInterruptedError, JobExit.INTERRUPTED),
    (TrainingInterruptedError, JobExit.INTERRUPTED),
    (TransientError, JobExit.TRANSIENT),
    (InputError, JobExit.INPUT),
    (NoGpuError, JobExit.NO_GPU),
    (SwathError, JobExit.FAILED),
)
