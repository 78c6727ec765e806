"""Infers one shard of a run: `python -m batch_jobs.infer_shard --plan-uri URI [--index N]`.

Of an AWS Batch array job each child takes the shard of its own index. `Exit` says what became of
it; only an interrupted shard is sure to do better on another host.

A host that is reclaimed sends SIGTERM first. The batch of tiles at work is finished then, which
takes less than the two minutes (of a Spot host) or the `stopTimeout` (of a container) that remain.
"""

from __future__ import annotations

import argparse
import enum
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from swath.errors import InputError, ShardInterruptedError, SwathError, TransientError
from swath.shard import refuse_shard, run_shard

ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"

logger = logging.getLogger("swath.infer_shard")


class Exit(enum.IntEnum):
    """What the exit code tells AWS Batch."""

    DONE = 0
    """The shard's receipt is written; it also tells of what cannot be used."""
    BUG = 1
    """An error that swath does not know: Python's own exit code for a traceback."""
    USAGE = 2
    """The command line cannot be used: argparse's own exit code."""
    TRANSIENT = 75
    """A service did not answer, for all the client's own retries (EX_TEMPFAIL of sysexits.h)."""
    INTERRUPTED = 143
    """128 + SIGTERM: the host was reclaimed. The shard kept its progress and goes on from it."""


def main(arguments: Sequence[str], env: Mapping[str, str]) -> Exit:
    """Infer the shard that the command line or the environment names."""
    options = _parse(arguments, env)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        receipt = run_shard(options.plan_uri, options.index, stop=stopping.is_set)
    except InputError as error:
        logger.error("shard %d of %s refused: %s", options.index, options.plan_uri, error)  # noqa: TRY400
        receipt = refuse_shard(options.plan_uri, options.index, error)
    except SwathError as error:
        logger.error("shard %d of %s: %s", options.index, options.plan_uri, error)  # noqa: TRY400
        return _exit_of(error)
    logger.info("shard done: %s", json.dumps(receipt.to_json()))
    return Exit.DONE


def _parse(arguments: Sequence[str], env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m batch_jobs.infer_shard")
    parser.add_argument("--plan-uri", required=True, help="where the run's plan lies")
    parser.add_argument(
        "--index",
        type=int,
        default=int(env.get(ARRAY_INDEX, "0")),
        help=f"which shard; by default {ARRAY_INDEX}, or 0 where that is not set",
    )
    return parser.parse_args(arguments)


def _exit_of(error: SwathError) -> Exit:
    if isinstance(error, ShardInterruptedError):
        return Exit.INTERRUPTED
    return Exit.TRANSIENT if isinstance(error, TransientError) else Exit.BUG


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    sys.exit(main(sys.argv[1:], os.environ))
