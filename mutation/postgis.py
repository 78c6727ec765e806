"""A PostGIS for all workers, in a process of its own: to start it imports swath."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def postgis() -> Iterator[str]:
    """Keep a server inside the block; how to connect to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    theirs.close()
    yield ours.recv()
    ours.close()
    server.join()


def serve(connection: Connection) -> None:
    """Run a server, send how to connect to it, and stop when the other end is closed."""
    from local_cloud.postgis.server import PostgisServer  # noqa: PLC0415 - imports swath

    with PostgisServer() as server:
        connection.send(server.dsn())
        try:
            connection.recv()
        except EOFError:
            return
