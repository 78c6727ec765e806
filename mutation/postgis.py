"""Run a PostGIS for all workers in its own process, since starting it imports swath."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def postgis() -> Iterator[str]:
    """Run a server during the block, and yield its DSN."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    theirs.close()
    yield ours.recv()
    ours.close()
    server.join()


def serve(connection: Connection) -> None:
    """Run a server, send its DSN, and stop when the other end of the connection is closed."""
    from local_cloud.postgis.server import PostgisServer  # noqa: PLC0415 - imports swath

    with PostgisServer() as server:
        connection.send(server.dsn())
        try:
            connection.recv()
        except EOFError:
            return
