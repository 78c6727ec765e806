"""Run Batch jobs as real processes, with bounded concurrency."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_cloud.processes import BASE_ENVIRONMENT, create_scratch, limit_disk

# A shard uses every core, so more processes than cores gain nothing.
DEFAULT_CONCURRENCY = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Process of one attempt at a job."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: str
    """Name of the log file."""
    disk_kib: int | None = None
    """Space for temporary files in KiB; None: the space of the machine."""


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """End of an attempt; the code of a killed process is 128 plus the signal's number."""

    code: int
    output: str
    timed_out: bool = False


class JobRunner:
    """Runner for the attempts of jobs; `close` kills those still running."""

    def __init__(self, logs: Path, *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self._logs = logs
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="batch")
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def submit(self, work: Callable[[], bool]) -> Future[bool]:
        """Queue a job's work (all its attempts) for one of the runner's threads."""
        return self._pool.submit(work)

    def run(
        self,
        process: JobSpec,
        *,
        timeout: float | None,
        should_stop: Callable[[], bool],
        next_signal: Callable[[], int | None] = lambda: None,
    ) -> ProcessExit:
        """Run one attempt to its end.

        Args:
            process: Process to run.
            timeout: Time in s after which the process is killed; None: no limit.
            should_stop: Function polled for whether to kill the process.
            next_signal: Function polled for a signal to send, until it returns one.
        """
        log = self._logs / process.log
        scratch = create_scratch(log)
        with log.open("wb") as output:
            running = self._start(process, output.fileno(), scratch)
        timed_out = not _wait_or_kill(running, timeout, should_stop, next_signal)
        with self._lock:
            self._running.discard(running)
        shutil.rmtree(scratch["TMPDIR"], ignore_errors=True)
        code = running.returncode if running.returncode >= 0 else 128 - running.returncode
        return ProcessExit(code, log.read_text(encoding="utf-8", errors="replace"), timed_out)

    def close(self) -> None:
        """Kill running processes and drop queued jobs."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, process: JobSpec, output: int, scratch: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise RuntimeError("a job was started after the local cloud was closed")
            running = subprocess.Popen(
                limit_disk(process.command, process.disk_kib),
                cwd=process.folder,
                env={**BASE_ENVIRONMENT, **process.environment, **scratch},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._running.add(running)
            return running


def _wait_or_kill(
    process: subprocess.Popen[bytes],
    timeout: float | None,
    should_stop: Callable[[], bool],
    next_signal: Callable[[], int | None],
) -> bool:
    """Wait for a process, or kill it; return False if its time was over."""
    waited, step, sent = 0.0, 0.25, False
    while True:
        try:
            process.wait(step)
        except subprocess.TimeoutExpired:
            waited += step
        else:
            return True
        if not sent and (number := next_signal()) is not None:
            process.send_signal(number)
            sent = True
        is_late = timeout is not None and waited >= timeout
        if is_late or should_stop():
            process.kill()
            process.wait()
            return not is_late
