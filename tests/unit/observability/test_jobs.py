import logging

import pytest

from swath.errors import InputError, ShardInterruptedError, TransientError
from swath.errors.exit_codes import JobExit
from swath.observability.jobs import run_job

logger = logging.getLogger("swath.some_job")


def end_with(error):
    """Return the exit code and the recorded cause of a job whose work raises an error."""
    left = []

    def work():
        raise error

    code = run_job(work, logger=logger, on_error=lambda *cause: left.append(cause))
    return code, left


def test_work_without_an_error_gives_its_own_code_and_leaves_nothing(caplog):
    left = []

    code = run_job(
        lambda: JobExit.REFUSED, logger=logger, on_error=lambda *cause: left.append(cause)
    )

    assert (code, left, caplog.records) == (JobExit.REFUSED, [], [])


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (InputError("no scene at x"), JobExit.INPUT, "ERROR"),
        (TransientError("S3 is away"), JobExit.TRANSIENT, "ERROR"),
        (ShardInterruptedError("SIGTERM came"), JobExit.INTERRUPTED, "WARNING"),
    ],
)
def test_an_error_of_swath_is_logged_by_its_sentence(caplog, error, code, level):
    assert end_with(error) == (code, [(error, code)])

    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (level, str(error))
    assert "Traceback" not in caplog.text


def test_the_log_says_what_failed(caplog):
    def work():
        raise InputError("no scene at x")

    run_job(work, name="shard 3 of y", logger=logger, on_error=lambda *_: None)

    assert caplog.records[0].getMessage() == "shard 3 of y: no scene at x"


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), MemoryError()])
def test_any_other_error_is_logged_with_its_traceback(caplog, error):
    assert end_with(error) == (JobExit.BUG, [(error, JobExit.BUG)])

    assert "Traceback (most recent call last):\n  File" in caplog.text
    assert caplog.records[0].getMessage() == (str(error) or "MemoryError")


def test_an_end_that_was_asked_for_is_no_error():
    with pytest.raises(SystemExit):
        end_with(SystemExit(2))
