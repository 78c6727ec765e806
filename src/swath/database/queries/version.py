"""Identify what the database holds, for caches."""

from __future__ import annotations

from swath.database.connect import Connection, transient_errors


def read_version(connection: Connection) -> str:
    """Return a text that differs whenever a query could return something else.

    Args:
        connection: Connection to the database.

    Raises:
        TransientError: The connection was lost.
    """
    with transient_errors("reading the database's version"), connection.transaction():
        ((version,),) = connection.execute(
            "SELECT concat_ws('-', version_num, (SELECT sum(n) FROM swath.changes))"
            " FROM swath.migration"
        )
    return str(version)
