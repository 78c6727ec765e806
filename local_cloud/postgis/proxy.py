"""Pass every database connection through a gate, which applies the database's faults."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from local_cloud.faults.kinds import DatabasePaused, DatabaseRestarted
from local_cloud.faults.registry import FaultRegistry

_CHUNK_BYTES = 65_536

Restart = Callable[[DatabaseRestarted], None]


@dataclass
class _Pause:
    """Pause of the database that a connection has begun to end.

    Attributes:
        fault: Fault that paused the database. The reference keeps its `id` from being reused.
        resumed: Time by `time.monotonic` at which the database is resumed.
        refused: Number of connections that were counted against the fault's limit.
    """

    fault: DatabasePaused
    resumed: float
    refused: int = 0


class DatabaseProxy:
    """Port that forwards connections to the server.

    Attributes:
        port: Port on which the gate listens.
    """

    def __init__(self, host: str, port: int, faults: FaultRegistry, restart: Restart) -> None:
        self._server = (host, port)
        self._faults = faults
        self._restart = restart
        self._lock = threading.Lock()
        self._pauses: dict[int, _Pause] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="database gate", daemon=True).start()

    def close(self) -> None:
        """Accept no more connections; open ones end with their clients."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if not self._wait_until_resumed():
                return
            with socket.create_connection(self._server) as server:
                if fault := self._faults.trigger(DatabaseRestarted):
                    timer = threading.Timer(fault.after, self._restart, (fault,))
                    timer.daemon = True
                    timer.start()
                response_thread = threading.Thread(target=_copy, args=(server, client), daemon=True)
                response_thread.start()
                _copy(client, server)
                response_thread.join()

    def _wait_until_resumed(self) -> bool:
        """Wait while the database is paused; return whether to accept the connection afterwards."""
        fault = self._faults.current(DatabasePaused)
        if fault is None:
            return True
        with self._lock:
            now = time.monotonic()
            pause = self._pauses.setdefault(id(fault), _Pause(fault, now + fault.seconds))
            if now >= pause.resumed:
                return True
            self._faults.trigger(DatabasePaused)
            pause.refused += 1
            is_refused = pause.refused <= fault.refused
        if is_refused:
            return False
        time.sleep(max(0.0, pause.resumed - time.monotonic()))
        return True


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy data until the source ends, then shut down the target's input."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def open_proxy(
    host: str, port: int, faults: FaultRegistry, restart: Restart = lambda _fault: None
) -> Iterator[DatabaseProxy]:
    """Open a gate to a server for the duration of the block.

    Args:
        host: Host of the server.
        port: Port of the server.
        faults: Faults that apply to connections.
        restart: Function that stops and restarts the server.
    """
    proxy = DatabaseProxy(host, port, faults, restart)
    try:
        yield proxy
    finally:
        proxy.close()
