"""Run a job on AWS Batch or SageMaker: log its error, report the cause, return the exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from swath.errors import SwathError
from swath.errors.exit_codes import JobExit


def log_to_stderr() -> None:
    """Send the log of this process to stderr, one line for each message."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")


def run_job(
    work: Callable[[], JobExit],
    *,
    name: str = "",
    logger: logging.Logger,
    on_error: Callable[[Exception, JobExit], None],
) -> JobExit:
    """Run the work of a job, and return the exit code of the process.

    The log has the message of an error that swath raises, and the traceback of any other error.

    Args:
        work: Function that does the work and returns the exit code, unless it raises an error.
        name: Name of the work, which precedes an error in the log.
        logger: Logger of the job.
        on_error: Function that stores an error and its exit code for other processes.
    """
    try:
        return work()
    except Exception as error:
        code = JobExit.from_error(error)
        level = logging.WARNING if code is JobExit.INTERRUPTED else logging.ERROR
        unexpected = None if isinstance(error, SwathError) else error
        prefix = f"{name}: " if name else ""
        logger.log(level, "%s%s", prefix, str(error) or type(error).__name__, exc_info=unexpected)
        on_error(error, code)
        return code
