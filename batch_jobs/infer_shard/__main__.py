"""Infers one shard of a run: `python -m batch_jobs.infer_shard --plan-uri URI [--index N]`.

Of an AWS Batch array job each child takes the shard of its own index. `JobExit` says what became of
it; only an interrupted shard is sure to do better on another host.

A Spot host is reclaimed two minutes after EC2 says so to the host, not to its containers: ECS stops
none of a job's unless draining is on, and it drains services only. The container learns of it when
the host shuts down: Docker sends SIGTERM, and SIGKILL ten seconds later. So progress is kept every
few minutes, and at SIGTERM once more if the batches at work are done in time; if not, the process
ends without.
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
from swath.models.runtimes.device import find_gpu, use_compatible_driver
from swath.models.runtimes.time_limit import last_words
from swath.observability.jobs import log_to_stderr, run_job
from swath.pipeline.paths import RunPaths
from swath.pipeline.shard import KEEP_SECONDS, refuse_shard, run_shard

ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
JOB_ID = "AWS_BATCH_JOB_ID"
STOP_SECONDS = 8.0
"""Docker, when its host shuts down, gives a container ten seconds between SIGTERM and SIGKILL:
https://docs.docker.com/reference/cli/docker/container/stop/"""

logger = logging.getLogger("swath.infer_shard")


def main(arguments: Sequence[str], env: Mapping[str, str]) -> JobExit:
    """Infer the shard that the command line or the environment names."""
    options = _parse(arguments, env)

    def leave(error: Exception, code: JobExit) -> None:
        _leave_cause(options.plan_uri, env, error, code)

    def leave_timeout(error: ModelTimeoutError) -> JobExit:
        code = JobExit.from_error(error)
        leave(error, code)
        return code

    with _ending_at_sigterm(options.stop_seconds) as stop, last_words(leave_timeout):
        doing = f"shard {options.index} of {options.plan_uri}"
        return run_job(lambda: _run(options, stop), doing=doing, logger=logger, leave=leave)


def _run(options: argparse.Namespace, stop: Callable[[], bool]) -> JobExit:
    uri, index = options.plan_uri, options.index
    try:
        find_gpu()
        receipt = run_shard(uri, index, stop=stop, keep_seconds=options.keep_seconds)
    except InputError as error:
        try:
            receipt = refuse_shard(uri, index, error)
        except InputError:
            # There is no run that could be told: the job itself says why.
            raise error from None
        logger.error("shard %d of %s refused: %s", index, uri, error)  # noqa: TRY400
    logger.info("shard done: %s", json.dumps(receipt.to_json()))
    return JobExit.DONE


def _parse(arguments: Sequence[str], env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m batch_jobs.infer_shard")
    parser.add_argument("--plan-uri", required=True, help="where the run's plan lies")
    parser.add_argument(
        "--index",
        type=int,
        default=env.get(ARRAY_INDEX, "0"),
        help=f"which shard; by default {ARRAY_INDEX}, or 0 where that is not set",
    )
    parser.add_argument(
        "--keep-seconds",
        type=float,
        default=KEEP_SECONDS,
        help="how often progress is kept, for a host that is gone without a word",
    )
    parser.add_argument(
        "--stop-seconds",
        type=float,
        default=STOP_SECONDS,
        help="how long the process may take to end after SIGTERM",
    )
    return parser.parse_args(arguments)


@contextmanager
def _ending_at_sigterm(seconds: float) -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM asks for an end, and enforces it after some seconds.

    Gives:
        Whether the end is asked for.
    """
    stopping, ended = threading.Event(), threading.Event()

    def enforce() -> None:
        stopping.wait()
        if not ended.wait(seconds):
            # Whatever it is that takes so long, SIGKILL would end it with a code that says less.
            os._exit(JobExit.INTERRUPTED)

    # A thread cannot be started by the handler: what it interrupts may be the start of a thread.
    threading.Thread(target=enforce, name="sigterm", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        yield stopping.is_set
    finally:
        ended.set()
        stopping.set()


def _leave_cause(uri: str, env: Mapping[str, str], error: Exception, code: JobExit) -> None:
    """Write why this job fails to where `find_cause` looks; Batch keeps the exit code only."""
    if not (job := env.get(JOB_ID)):
        return
    name = type(error).__name__
    left = JobFailure(error=name, cause=str(error) or name, exit_code=code)
    try:
        storage.write_json(RunPaths.of_plan(uri).job_failure(job), left.to_json())
    except Exception as unwritten:  # noqa: BLE001 - the failure itself matters more
        logger.warning("why the shard failed cannot be written: %s", unwritten)


if __name__ == "__main__":
    use_compatible_driver(os.environ)
    log_to_stderr()
    sys.exit(main(sys.argv[1:], os.environ))
