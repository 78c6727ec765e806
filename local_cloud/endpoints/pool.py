"""Manage the containers of all endpoints: one each, started at the first request."""

from __future__ import annotations

import functools
import io
import tarfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import ClientError

from local_cloud.endpoints.process import KilledError, ServingProcess, StartError
from local_cloud.endpoints.specification import ContainerResponse, ServingSpec

Fetch = Callable[[str], bytes]


class EndpointPool:
    """Pool that serves endpoints; an unused endpoint has no process."""

    def __init__(self, logs: Path, models: Path) -> None:
        self._logs = logs
        self._models = models
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._running: dict[str, ServingProcess] = {}
        self._queues: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    def invoke(
        self,
        spec: ServingSpec,
        body: bytes,
        headers: Mapping[str, str],
        *,
        fetch: Fetch,
        timeout: float,
    ) -> ContainerResponse:
        """Send one request to the endpoint's container, which is started if necessary.

        Args:
            spec: Specification of the endpoint's container.
            body: Body of the request.
            headers: Headers of the request.
            fetch: Function that reads the S3 object of a URI, for the model's archive.
            timeout: Maximum time for the response in s, once the container is ready.

        Raises:
            StartError: The container cannot be started, or its model cannot be unpacked.
            TimeoutError: No response came in time.
            OSError, http.client.HTTPException: The container ended meanwhile.
        """
        return self._get_ready_process(spec, fetch).invoke(body, headers, timeout=timeout)

    def queue(self, endpoint: str, concurrency: int) -> ThreadPoolExecutor:
        """Return an asynchronous endpoint's queue, which serves `concurrency` requests at once."""
        with self._lock:
            self._check_open(endpoint)
            if endpoint not in self._queues:
                self._queues[endpoint] = ThreadPoolExecutor(
                    concurrency, thread_name_prefix=endpoint
                )
            return self._queues[endpoint]

    def close(self) -> None:
        """End every container, and drop queued requests."""
        with self._lock:
            self._closed = True
            running, self._running = list(self._running.values()), {}
            queues, self._queues = list(self._queues.values()), {}
        for process in running:
            process.stop()
        for queue in queues:
            queue.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.close()

    def _get_ready_process(self, spec: ServingSpec, fetch: Fetch) -> ServingProcess:
        with self._lock:
            lock = self._locks.setdefault(spec.name, threading.Lock())
        with lock:
            running = self._running.get(spec.name)
            if running and running.is_alive and running.spec.key == spec.key:
                return running
            if running:
                running.close()
            return self._start(spec, fetch)

    def _start(self, spec: ServingSpec, fetch: Fetch) -> ServingProcess:
        with self._lock:
            self._check_open(spec.name)
        model = self._models / spec.name
        if spec.model:
            _unpack(spec.model, fetch, model)
        start = functools.partial(
            ServingProcess.start, spec, model=model, log=self._logs / f"endpoint-{spec.name}.log"
        )
        try:
            started = start()
        except KilledError:
            # A killed container counts as a failed host; SageMaker starts another one.
            started = start()
        with self._lock:
            if not self._closed:
                self._running[spec.name] = started
                return started
        started.close()
        raise RuntimeError(f"{spec.name} was invoked while the local cloud was closed")

    def _check_open(self, endpoint: str) -> None:
        if self._closed:
            raise RuntimeError(f"{endpoint} was invoked after the local cloud was closed")


def _unpack(uri: str, fetch: Fetch, folder: Path) -> None:
    """Unpack a model's archive, as SageMaker does; refuse members outside `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(fetch(uri)), mode="r:gz") as opened:
            opened.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError, ClientError) as error:
        raise StartError(f"the model {uri} cannot be unpacked: {error}") from error
