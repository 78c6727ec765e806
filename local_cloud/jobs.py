"""Batch jobs as real processes, a bounded number at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_cloud.processes import MACHINE, confined, scratch

# A shard uses every core that it finds: more processes than cores gain nothing.
CONCURRENCY = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProcess:
    """What one attempt at a job runs."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: str
    """Name of the log file."""
    disk_kib: int | None = None
    """Space for temporary files; None for what the machine has."""


@dataclass(frozen=True, slots=True)
class JobExit:
    """How an attempt ended; `code` is 128 and the signal's number for a process that was killed."""

    code: int
    output: str
    timed_out: bool = False


class JobRunner:
    """Runs the attempts of jobs; `close` ends those that still run."""

    def __init__(self, logs: Path, *, concurrency: int = CONCURRENCY) -> None:
        self._logs = logs
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="batch")
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def submit(self, work: Callable[[], bool]) -> Future[bool]:
        """Queue a job's work: all its attempts, on one of the runner's threads."""
        return self._pool.submit(work)

    def run(
        self,
        process: JobProcess,
        *,
        timeout: float | None,
        stopped: Callable[[], bool],
        signalled: Callable[[], int | None] = lambda: None,
    ) -> JobExit:
        """Run one attempt to its end.

        Args:
            process: what to run.
            timeout: seconds after which it is killed.
            stopped: is asked now and then whether to kill it.
            signalled: is asked, until it names one, which signal to send.
        """
        log = self._logs / process.log
        own = scratch(log)
        with log.open("wb") as output:
            running = self._start(process, output.fileno(), own)
        timed_out = not _finish(running, timeout, stopped, signalled)
        with self._lock:
            self._running.discard(running)
        shutil.rmtree(own["TMPDIR"], ignore_errors=True)
        code = running.returncode if running.returncode >= 0 else 128 - running.returncode
        return JobExit(code, log.read_text(encoding="utf-8", errors="replace"), timed_out)

    def close(self) -> None:
        """Kill what runs and drop what waits."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, process: JobProcess, output: int, own: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise RuntimeError("a job was started after the local cloud was closed")
            running = subprocess.Popen(
                confined(process.command, process.disk_kib),
                cwd=process.folder,
                env={**MACHINE, **process.environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._running.add(running)
            return running


def _finish(
    process: subprocess.Popen[bytes],
    timeout: float | None,
    stopped: Callable[[], bool],
    signalled: Callable[[], int | None],
) -> bool:
    """Wait for a process, or end it; return False when its time was up."""
    waited, step, sent = 0.0, 0.25, False
    while True:
        try:
            process.wait(step)
        except subprocess.TimeoutExpired:
            waited += step
        else:
            return True
        if not sent and (number := signalled()) is not None:
            process.send_signal(number)
            sent = True
        late = timeout is not None and waited >= timeout
        if late or stopped():
            process.kill()
            process.wait()
            return not late
