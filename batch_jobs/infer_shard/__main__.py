"""Infer one shard of a run: `python -m batch_jobs.infer_shard --plan-uri URI [--index N]`.

Each child of an AWS Batch array job takes the shard of its own index. The exit code is a `JobExit`;
only for an interrupted shard is another host sure to help.

EC2 notifies a Spot host two minutes before reclaiming it, but does not notify its containers. ECS
stops containers only if draining is on, and drains only services, not jobs. A container learns of
the reclaim when the host shuts down: Docker sends SIGTERM, and SIGKILL ten seconds later. So the
shard writes a checkpoint every few minutes. At SIGTERM it writes another one if its current batches
finish in time; otherwise the process ends without one.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/spot-instance-draining-linux-container.html
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from swath import storage
from swath.errors import InputError, ModelTimeoutError
from swath.errors.exit_codes import JobExit
from swath.messages import JobFailure
from swath.models.runtimes.device import runs_on_gpu, use_compatible_driver
from swath.models.runtimes.time_limit import before_forced_exit
from swath.observability.jobs import log_to_stderr, run_job
from swath.pipeline.paths import RunPaths
from swath.pipeline.shard import DEFAULT_CHECKPOINT_SECONDS, run_shard, write_failed_receipt

ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
JOB_ID = "AWS_BATCH_JOB_ID"
DEFAULT_STOP_SECONDS = 8.0
"""Time in s that the process may take to end after SIGTERM.

When the host shuts down, Docker sends SIGKILL ten seconds after SIGTERM:
https://docs.docker.com/reference/cli/docker/container/stop/
"""

logger = logging.getLogger("swath.infer_shard")


def main(arguments: Sequence[str], env: Mapping[str, str]) -> JobExit:
    """Infer the shard that the command line or the environment names.

    Args:
        arguments: Command-line arguments, without the program's name.
        env: Environment variables.

    Returns:
        The exit code of the process.
    """
    options = _parse(arguments, env)

    def write_cause(error: Exception, code: JobExit) -> None:
        _write_cause(options.plan_uri, env, error, code)

    def write_timeout(error: ModelTimeoutError) -> JobExit:
        code = JobExit.from_error(error)
        write_cause(error, code)
        return code

    with _handle_sigterm(options.stop_seconds) as stop, before_forced_exit(write_timeout):
        job_name = f"shard {options.index} of {options.plan_uri}"
        return run_job(
            lambda: _run(options, stop), name=job_name, logger=logger, on_error=write_cause
        )


def _run(options: argparse.Namespace, stop: Callable[[], bool]) -> JobExit:
    uri, index = options.plan_uri, options.index
    try:
        runs_on_gpu()
        receipt = run_shard(uri, index, stop=stop, checkpoint_seconds=options.keep_seconds)
    except InputError as error:
        try:
            receipt = write_failed_receipt(uri, index, error)
        except InputError:
            # The run has no usable plan to write a receipt for, so the job itself fails.
            raise error from None
        logger.error("shard %d of %s refused: %s", index, uri, error)  # noqa: TRY400
    logger.info("shard done: %s", json.dumps(receipt.to_json()))
    return JobExit.DONE


def _parse(arguments: Sequence[str], env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m batch_jobs.infer_shard")
    parser.add_argument("--plan-uri", required=True, help="URI of the run's plan")
    parser.add_argument(
        "--index",
        type=int,
        default=env.get(ARRAY_INDEX, "0"),
        help=f"number of the shard; default: the variable {ARRAY_INDEX}, or 0 if it is not set",
    )
    parser.add_argument(
        "--keep-seconds",
        type=float,
        default=DEFAULT_CHECKPOINT_SECONDS,
        help="time in s between checkpoints, for a host that is lost without notice",
    )
    parser.add_argument(
        "--stop-seconds",
        type=float,
        default=DEFAULT_STOP_SECONDS,
        help="time in s that the process may take to end after SIGTERM",
    )
    return parser.parse_args(arguments)


@contextmanager
def _handle_sigterm(seconds: float) -> Iterator[Callable[[], bool]]:
    """Handle SIGTERM within the block: request an end, and enforce it after some seconds.

    Args:
        seconds: Time in s from SIGTERM until the process is ended.

    Yields:
        A function that returns whether the end is requested.
    """
    stopping, ended = threading.Event(), threading.Event()

    def enforce() -> None:
        stopping.wait()
        if not ended.wait(seconds):
            # Otherwise SIGKILL would soon end the process, with a less informative exit code.
            os._exit(JobExit.INTERRUPTED)

    # The handler cannot start the thread, since it may interrupt the start of another thread.
    threading.Thread(target=enforce, name="sigterm", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        yield stopping.is_set
    finally:
        ended.set()
        stopping.set()


def _write_cause(uri: str, env: Mapping[str, str], error: Exception, code: JobExit) -> None:
    """Write this job's error for `find_cause`, because Batch keeps only the exit code."""
    if not (job := env.get(JOB_ID)):
        return
    name = type(error).__name__
    failure = JobFailure(error=name, cause=str(error) or name, exit_code=code)
    try:
        storage.write_json(RunPaths.from_plan_uri(uri).job_failure(job), failure.to_json())
    except Exception as unwritten:  # noqa: BLE001 - the failure itself matters more
        logger.warning("the cause of the failure cannot be written: %s", unwritten)


if __name__ == "__main__":
    use_compatible_driver(os.environ)
    log_to_stderr()
    sys.exit(main(sys.argv[1:], os.environ))
