"""Connections to the database, also while it is paused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from local_cloud.faults.kinds import DatabasePaused, DatabaseRestarted
from local_cloud.faults.registry import FaultRegistry
from local_cloud.postgis.proxy import DatabaseProxy, open_proxy


@pytest.fixture
def server() -> Iterator[int]:
    """A server that answers each connection with what it says, once, backwards; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(connection.recv(100)[::-1])
        except OSError:
            return

    serving = threading.Thread(target=serve)
    serving.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    serving.join()


@pytest.fixture
def faults() -> FaultRegistry:
    return FaultRegistry()


@pytest.fixture
def opened(server: int, faults: FaultRegistry) -> Iterator[DatabaseProxy]:
    with open_proxy("127.0.0.1", server, faults) as made:
        yield made


def exchange(opened: DatabaseProxy, said: bytes) -> bytes:
    """Return what comes back; nothing if the connection is ended."""
    with socket.create_connection(("127.0.0.1", opened.port), timeout=30) as connection:
        try:
            connection.sendall(said)
            return connection.recv(100)
        except ConnectionError:
            return b""


def test_a_connection_leads_to_the_server(opened: DatabaseProxy):
    assert exchange(opened, b"abc") == b"cba"
    assert exchange(opened, b"xyz") == b"zyx"


def test_a_paused_database_refuses_some_connections_and_holds_the_others(
    opened: DatabaseProxy, faults: FaultRegistry
):
    number = faults.switch_on(DatabasePaused(seconds=1.5, refused=2))

    answers = [exchange(opened, b"abc") for _ in range(4)]

    assert answers == [b"", b"", b"cba", b"cba"]
    assert faults.occurrences(number) == 3, "the fourth connection needs no wait"


def test_a_database_that_is_paused_again_has_to_wake_again(
    opened: DatabaseProxy, faults: FaultRegistry
):
    # Python may give a new fault the `id` of one that was switched off and freed.
    for _ in range(30):
        number = faults.switch_on(DatabasePaused(seconds=0.02))
        assert exchange(opened, b"abc") == b"cba"
        assert faults.switch_off(number) == 1


def test_a_connection_may_be_the_one_that_the_database_restarts_after(
    server: int, faults: FaultRegistry
):
    restarted: list[DatabaseRestarted] = []
    done = threading.Event()

    def restart(fault: DatabaseRestarted) -> None:
        restarted.append(fault)
        done.set()

    fault = DatabaseRestarted(times=1, downtime=0.5)
    faults.switch_on(fault)
    with open_proxy("127.0.0.1", server, faults, restart) as opened:
        answers = [exchange(opened, b"abc") for _ in range(2)]
        assert done.wait(30)

    assert answers == [b"cba", b"cba"]
    assert restarted == [fault], "once, for the first connection"
