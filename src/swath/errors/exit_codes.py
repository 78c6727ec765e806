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


class _ExitCode(enum.IntEnum):
    """Exit code with its meaning."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create an exit code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class CommandExit(_ExitCode):
    """Exit code of a `swath` command."""

    DONE = 0, "The command succeeded."
    FAILED = (
        1,
        "The work or a service failed, a gate refused a package, or the user declined the cost.",
    )
    INPUT = 2, "An option, a file, a value or a setting cannot be used."
    BUG = 70, "The error is unexpected: please report it with the output of `--debug`."
    INTERRUPTED = (
        130,
        "Ctrl-C (SIGINT) ended the command. A training wrote a checkpoint for `--resume`.",
    )
    TERMINATED = 143, "SIGTERM ended the command. A training wrote a checkpoint for `--resume`."


class JobExit(_ExitCode):
    """Exit code of a job on AWS Batch or SageMaker, or of the model server."""

    DONE = 0, "The job succeeded, or it wrote the receipt of a shard whose input cannot be used."
    BUG = 1, "The error is unexpected. Python itself exits with this code after a traceback."
    USAGE = 2, "The command line of the container is invalid."
    REFUSED = 3, "A package scores below the package in use, or below the required metrics."
    INPUT = 65, "The input cannot be used. A retry does not help."
    NO_GPU = 69, "The GPU of the host cannot be used; the log names its driver."
    FAILED = (
        70,
        "The work failed: a training diverged, or a model's output contradicts its package.",
    )
    TRANSIENT = 75, "A service failed in spite of retries. Batch retries the job."
    INTERRUPTED = 143, "SIGTERM: the host was reclaimed. A retry resumes from the checkpoint."

    @classmethod
    def from_error(cls, error: BaseException) -> JobExit:
        """Return the exit code of a job that ends with the given error."""
        return next((code for kind, code in _CODES_BY_ERROR if isinstance(error, kind)), cls.BUG)


_CODES_BY_ERROR: tuple[tuple[type[SwathError], JobExit], ...] = (
    (ShardInterruptedError, JobExit.INTERRUPTED),
    (TrainingInterruptedError, JobExit.INTERRUPTED),
    (TransientError, JobExit.TRANSIENT),
    (InputError, JobExit.INPUT),
    (NoGpuError, JobExit.NO_GPU),
    (SwathError, JobExit.FAILED),
)
